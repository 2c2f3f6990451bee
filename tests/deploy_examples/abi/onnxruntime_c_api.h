// For tests only: the functions of ONNX Runtime's C API that examples/deploy/cpp calls, each at its place in `OrtApi`.
//
// ONNX Runtime's library comes with the Python package, its header does not. The table of functions only ever grows at
// its end, so that places never change; those of the first two versions of the API are all that is needed. A program of
// yours takes the header of ONNX Runtime's own archive.

#pragma once

#include <stddef.h>
#include <stdint.h>

#define ORT_API_VERSION 2

typedef struct OrtEnv OrtEnv;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtModelMetadata OrtModelMetadata;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtStatus OrtStatus;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;
typedef struct OrtValue OrtValue;
typedef struct OrtAllocator OrtAllocator;

enum ONNXTensorElementDataType {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 = 2,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 = 6,
};
enum OrtLoggingLevel { ORT_LOGGING_LEVEL_ERROR = 3 };
enum OrtAllocatorType { OrtArenaAllocator = 1 };
enum OrtMemType { OrtMemTypeDefault = 0 };

struct OrtApi {
  void* places_0_1[2];
  const char* (*GetErrorMessage)(const OrtStatus*);                                                // 2
  OrtStatus* (*CreateEnv)(OrtLoggingLevel, const char*, OrtEnv**);                                 // 3
  void* places_4_7[4];
  OrtStatus* (*CreateSessionFromArray)(const OrtEnv*, const void*, size_t, const OrtSessionOptions*, OrtSession**);
  OrtStatus* (*Run)(OrtSession*, const OrtRunOptions*, const char* const*, const OrtValue* const*, size_t,
                    const char* const*, size_t, OrtValue**);
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**);                                         // 10
  void* places_11_48[38];
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void*, size_t, const int64_t*, size_t,
                                               ONNXTensorElementDataType, OrtValue**);             // 49
  void* place_50;
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);                                           // 51
  void* places_52_59[8];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*, ONNXTensorElementDataType*);  // 60
  void* places_61_63[3];
  OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo*, size_t*);             // 64
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**);               // 65
  void* places_66_68[3];
  OrtStatus* (*CreateCpuMemoryInfo)(OrtAllocatorType, OrtMemType, OrtMemoryInfo**);                // 69
  void* places_70_75[6];
  OrtStatus* (*AllocatorFree)(OrtAllocator*, void*);                                               // 76
  void* place_77;
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**);                                    // 78
  void* places_79_91[13];
  void (*ReleaseEnv)(OrtEnv*);                                                                     // 92
  void (*ReleaseStatus)(OrtStatus*);                                                               // 93
  void (*ReleaseMemoryInfo)(OrtMemoryInfo*);                                                       // 94
  void (*ReleaseSession)(OrtSession*);                                                             // 95
  void (*ReleaseValue)(OrtValue*);                                                                 // 96
  void* places_97_98[2];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);                               // 99
  void (*ReleaseSessionOptions)(OrtSessionOptions*);                                               // 100
  void* places_101_110[10];
  OrtStatus* (*SessionGetModelMetadata)(const OrtSession*, OrtModelMetadata**);                    // 111
  void* places_112_115[4];
  OrtStatus* (*ModelMetadataLookupCustomMetadataMap)(const OrtModelMetadata*, OrtAllocator*, const char*, char**);
  void* place_117;
  void (*ReleaseModelMetadata)(OrtModelMetadata*);                                                 // 118
};

#define AT_PLACE(function, place) \
  static_assert(offsetof(OrtApi, function) == (place) * sizeof(void*), #function " is at another place")
AT_PLACE(Run, 9);
AT_PLACE(CreateTensorWithDataAsOrtValue, 49);
AT_PLACE(GetTensorTypeAndShape, 65);
AT_PLACE(GetAllocatorWithDefaultOptions, 78);
AT_PLACE(ReleaseSessionOptions, 100);
AT_PLACE(ModelMetadataLookupCustomMetadataMap, 116);
AT_PLACE(ReleaseModelMetadata, 118);
#undef AT_PLACE

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

extern "C" const OrtApiBase* OrtGetApiBase();
