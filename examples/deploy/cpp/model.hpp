// A compiled bank: what it says of itself, and what it finds in a picture.

#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "json.hpp"
#include "pictures.hpp"
#include "runtime.hpp"

// The values of an output, which lives as long as this does.
template <typename Number>
struct Values {
  Held<OrtValue> owner;
  const Number* data = nullptr;
};

struct Found {
  float loss = 0;
  Values<float> scores;
  Values<std::int32_t> boxes;  // four for each concept
  Values<float> heatmaps;      // height x width for each concept
};

class Model {
 public:
  explicit Model(const std::string& path)
      : env_(made<OrtEnv>([](OrtEnv** out) { return api().CreateEnv(ORT_LOGGING_LEVEL_ERROR, "concepts", out); })),
        session_(open(path)),
        about_(Json::parse(metadata())) {
    if (about_["kind"].text() != "concepts") throw std::runtime_error("holds no concepts of a bank");
    for (const Json& one : about_["concepts"].array()) names.push_back(one["name"].is_null() ? "" : one["name"].text());
    if (!about_["limit"].is_null()) limit = about_["limit"].number();
    boxes_ = about_["boxes"].text() == "masks" ? "mask_boxes" : "boxes";
  }

  std::vector<std::string> names;                          // empty where a concept has none
  double limit = std::numeric_limits<double>::infinity();  // a picture of more loss is not explained

  Found look(Picture& picture) {
    const std::int64_t shape[] = {1, picture.height, picture.width, 3};
    const auto memory = made<OrtMemoryInfo>(
        [](OrtMemoryInfo** out) { return api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, out); });
    const auto image = made<OrtValue>([&](OrtValue** out) {
      return api().CreateTensorWithDataAsOrtValue(memory.get(), picture.pixels.data(), picture.pixels.size(), shape, 4,
                                                  ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, out);
    });
    const char* const inputs[] = {"image"};
    const OrtValue* const given[] = {image.get()};
    const char* const outputs[] = {"heatmaps", "scores", boxes_.c_str(), "loss"};
    OrtValue* found[4] = {};
    check(api().Run(session_.get(), nullptr, inputs, given, 1, outputs, 4, found));
    Held<OrtValue> held[] = {Held<OrtValue>(found[0]), Held<OrtValue>(found[1]), Held<OrtValue>(found[2]),
                             Held<OrtValue>(found[3])};
    const std::size_t k = names.size();
    const std::size_t size = picture.pixels.size() / 3;
    return {*values<float>(std::move(held[3]), 1).data, values<float>(std::move(held[1]), k),
            values<std::int32_t>(std::move(held[2]), 4 * k), values<float>(std::move(held[0]), k * size)};
  }

 private:
  Held<OrtEnv> env_;
  Held<OrtSession> session_;
  Json about_;
  std::string boxes_;

  Held<OrtSession> open(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot be opened");
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const auto options =
        made<OrtSessionOptions>([](OrtSessionOptions** out) { return api().CreateSessionOptions(out); });
    return made<OrtSession>([&](OrtSession** out) {
      return api().CreateSessionFromArray(env_.get(), bytes.data(), bytes.size(), options.get(), out);
    });
  }

  std::string metadata() const {
    const auto all = made<OrtModelMetadata>(
        [&](OrtModelMetadata** out) { return api().SessionGetModelMetadata(session_.get(), out); });
    OrtAllocator* allocator = nullptr;  // the default one belongs to the library
    check(api().GetAllocatorWithDefaultOptions(&allocator));
    char* value = nullptr;
    check(api().ModelMetadataLookupCustomMetadataMap(all.get(), allocator, "dff.compiled", &value));
    if (value == nullptr) throw std::runtime_error("was not compiled by dff-onnx");
    const std::string text = value;
    check(api().AllocatorFree(allocator, value));
    return text;
  }

  template <typename Number>
  static Values<Number> values(Held<OrtValue> value, std::size_t expected) {
    const auto info = made<OrtTensorTypeAndShapeInfo>(
        [&](OrtTensorTypeAndShapeInfo** out) { return api().GetTensorTypeAndShape(value.get(), out); });
    ONNXTensorElementDataType type{};
    std::size_t count = 0;
    check(api().GetTensorElementType(info.get(), &type));
    check(api().GetTensorShapeElementCount(info.get(), &count));
    constexpr auto wanted =
        std::is_integral_v<Number> ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    if (type != wanted || count != expected)
      throw std::runtime_error("an output has another shape or type than dff-onnx gives it");
    void* data = nullptr;
    check(api().GetTensorMutableData(value.get(), &data));
    return {std::move(value), static_cast<const Number*>(data)};
  }
};
