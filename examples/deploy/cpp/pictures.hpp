// Pictures without an image library: binary PPM in, binary PGM out. Every image tool writes and reads both.

#pragma once

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

struct Picture {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> pixels;  // red, green, blue, row by row
};

// A number of a header; a comment goes from a # to the end of its line.
inline std::int64_t header_number(std::istream& file) {
  for (int next = file.peek(); next == '#' || std::isspace(next); next = file.peek()) {
    if (file.get() != '#') continue;
    while (file && file.get() != '\n') {
    }
  }
  std::int64_t number = 0;
  if (!(file >> number) || number < 1 || number > 65536) throw std::runtime_error("its header is damaged");
  return number;
}

inline Picture read_ppm(const std::string& path) {
  constexpr std::int64_t kMostPixels = 178'956'970;  // as in dff-onnx
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot be opened");
  if (file.get() != 'P' || file.get() != '6') throw std::runtime_error("is no binary PPM file (P6)");
  Picture picture;
  picture.width = header_number(file);
  picture.height = header_number(file);
  if (header_number(file) != 255) throw std::runtime_error("has other than 8 bits a channel");
  if (picture.width * picture.height > kMostPixels) throw std::runtime_error("has too many pixels");
  file.get();  // the one space behind the header
  picture.pixels.resize(static_cast<std::size_t>(3 * picture.width * picture.height));
  file.read(reinterpret_cast<char*>(picture.pixels.data()), static_cast<std::streamsize>(picture.pixels.size()));
  if (!file) throw std::runtime_error("is cut short");
  return picture;
}

// A heat map as grey levels: 0 and what is no number is black, 1 and more is white.
inline void write_pgm(const std::string& path, const float* heat, std::int64_t width, std::int64_t height) {
  std::ofstream file(path, std::ios::binary);
  file << "P5\n" << width << ' ' << height << "\n255\n";
  for (std::int64_t place = 0; place < width * height; ++place) {
    const float level = 255.0F * heat[place] + 0.5F;
    const float held = level > 0.0F ? (level < 255.0F ? level : 255.0F) : 0.0F;
    file.put(static_cast<char>(static_cast<std::uint8_t>(held)));
  }
  file.close();
  if (!file) throw std::runtime_error(path + ": cannot be written");
}
