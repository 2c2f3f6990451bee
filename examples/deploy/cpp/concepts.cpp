// Looks for a bank's concepts in pictures: concepts concepts.onnx PICTURE.ppm...

#include <cstdio>
#include <exception>
#include <string>

#include "model.hpp"

namespace {

// Names and paths come from files: control characters could speak to the terminal.
std::string printable(std::string text) {
  for (char& character : text)
    if (static_cast<unsigned char>(character) < 0x20 || character == 0x7f) character = '?';
  return text;
}

// The file's name without folders and suffix.
std::string stem_of(const std::string& path) {
  const std::string name = path.substr(path.find_last_of("/\\") + 1);
  return name.substr(0, name.rfind('.'));
}

void look(Model& model, const std::string& path) {
  Picture picture = read_ppm(path);
  const Found found = model.look(picture);
  const char* strange = found.loss > model.limit ? ", not explained by these concepts" : "";
  std::printf("%s: loss %.6f%s\n", printable(path).c_str(), static_cast<double>(found.loss), strange);
  for (std::size_t number = 0; number < model.names.size(); ++number) {
    const std::string& name = model.names[number];
    const std::string shown = name.empty() ? "concept " + std::to_string(number) : printable(name);
    const std::int32_t* box = found.boxes.data + 4 * number;
    std::printf("  '%s' score %.6f box %d %d %d %d\n", shown.c_str(), static_cast<double>(found.scores.data[number]),
                static_cast<int>(box[0]), static_cast<int>(box[1]), static_cast<int>(box[2]), static_cast<int>(box[3]));
    const float* heat = found.heatmaps.data + number * (picture.pixels.size() / 3);
    write_pgm(stem_of(path) + "-concept-" + std::to_string(number) + ".pgm", heat, picture.width, picture.height);
  }
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) {
    std::fprintf(stderr, "usage: concepts concepts.onnx PICTURE.ppm...\n");
    return 2;
  }
  std::string at = words[1];
  try {
    Model model(at);
    for (int place = 2; place < count; ++place) {
      at = words[place];
      look(model, at);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", printable(at).c_str(), error.what());
    return 1;
  }
  return 0;
}
