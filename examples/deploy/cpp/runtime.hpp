// ONNX Runtime's C API with owners and exceptions: what is made is released, what fails is thrown.

#pragma once

#include <onnxruntime_c_api.h>

#include <memory>
#include <stdexcept>
#include <string>

inline const OrtApi& api() {
  static const OrtApi* const found = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (found == nullptr) throw std::runtime_error("ONNX Runtime's library is older than the header of this program");
  return *found;
}

inline void check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = api().GetErrorMessage(status);
  api().ReleaseStatus(status);
  throw std::runtime_error(message);
}

struct Release {
  void operator()(OrtEnv* one) const { api().ReleaseEnv(one); }
  void operator()(OrtMemoryInfo* one) const { api().ReleaseMemoryInfo(one); }
  void operator()(OrtModelMetadata* one) const { api().ReleaseModelMetadata(one); }
  void operator()(OrtSession* one) const { api().ReleaseSession(one); }
  void operator()(OrtSessionOptions* one) const { api().ReleaseSessionOptions(one); }
  void operator()(OrtTensorTypeAndShapeInfo* one) const { api().ReleaseTensorTypeAndShapeInfo(one); }
  void operator()(OrtValue* one) const { api().ReleaseValue(one); }
};

template <typename Thing>
using Held = std::unique_ptr<Thing, Release>;

// What a function of the API makes: `make` is given the place for it.
template <typename Thing, typename Make>
Held<Thing> made(Make make) {
  Thing* thing = nullptr;
  check(make(&thing));
  return Held<Thing>(thing);
}
