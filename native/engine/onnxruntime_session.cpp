// What an ONNX Runtime session says of itself, and its failures.
#include <algorithm>

#include "../counters.h"
#include "element_type.h"
#include "onnxruntime_library.h"

namespace sada::ort {

OrtSession::OrtSession(std::shared_ptr<Library> library, SessionHandle* session)
    : library_(std::move(library)), session_(library_->own(session, kReleaseSession)) {
  describe(info_.inputs, input_types_, kSessionGetInputCount, kSessionGetInputName, kSessionGetInputTypeInfo);
  describe(info_.outputs, output_types_, kSessionGetOutputCount, kSessionGetOutputName, kSessionGetOutputTypeInfo);
  counters().sessions += 1;  // where that failed there is none
}

OrtSession::~OrtSession() { counters().sessions -= 1; }

void OrtSession::describe(std::vector<TensorInfo>& infos, Types& types, Slot count_slot, Slot name_slot, Slot type_slot) {
  size_t count = 0;
  library_->check(library_->api.call(count_slot, static_cast<const SessionHandle*>(session_.get()), &count), "MODEL_CORRUPT",
                  "no inputs or outputs");
  for (size_t k = 0; k < count; ++k) {
    TensorInfo info;
    char* name = nullptr;
    library_->check(library_->api.call(name_slot, static_cast<const SessionHandle*>(session_.get()), k, library_->allocator, &name),
                    "MODEL_CORRUPT", "no name");
    info.name = name;
    Status* freed = library_->api.call(kAllocatorFree, library_->allocator, static_cast<void*>(name));
    if (freed != nullptr) library_->api.call<void>(kReleaseStatus, freed);
    types[info.name] = describe_type(info, k, type_slot);
    infos.push_back(std::move(info));
  }
}

int OrtSession::describe_type(TensorInfo& info, size_t k, Slot type_slot) {
  TypeInfo* type_info = nullptr;
  library_->check(library_->api.call(type_slot, static_cast<const SessionHandle*>(session_.get()), k, &type_info), "MODEL_CORRUPT",
                  "no type");
  const Owned<TypeInfo> owned = library_->own(type_info, kReleaseTypeInfo);
  const TensorTypeInfo* tensor = nullptr;
  library_->check(library_->api.call(kCastTypeInfoToTensorInfo, static_cast<const TypeInfo*>(type_info), &tensor), "IO_MISMATCH",
                  info.name);
  if (tensor == nullptr) return info.type = "other", 0;
  int type = 0;
  size_t rank = 0;
  library_->check(library_->api.call(kGetTensorElementType, tensor, &type), "MODEL_CORRUPT", info.name);
  library_->check(library_->api.call(kGetDimensionsCount, tensor, &rank), "MODEL_CORRUPT", info.name);
  info.type = element_type_name(type);
  info.dims.resize(rank);
  std::vector<const char*> symbols(rank, "");
  library_->check(library_->api.call(kGetDimensions, tensor, info.dims.data(), rank), "MODEL_CORRUPT", info.name);
  library_->check(library_->api.call(kGetSymbolicDimensions, tensor, symbols.data(), rank), "MODEL_CORRUPT", info.name);
  info.symbols.assign(symbols.begin(), symbols.end());
  return type;
}

int OrtSession::type_of(const Types& types, const Binding& binding, const char* side) {
  const auto type = types.find(binding.name);
  if (type == types.end()) throw Error("IO_MISMATCH", std::string("The model has no ") + side + " named \"" + binding.name + "\".");
  return type->second;
}

void OrtSession::check_bound(const std::vector<Binding>& inputs, const std::vector<Binding>& outputs) const {
  for (const TensorInfo& info : info_.inputs) {
    const auto is_named = [&](const Binding& binding) { return binding.name == info.name; };
    if (std::none_of(inputs.begin(), inputs.end(), is_named))
      throw Error("IO_MISMATCH", "The model's input \"" + info.name + "\" is not bound.");
  }
  for (const std::vector<Binding>* side : {&inputs, &outputs}) {
    for (size_t k = 0; k < side->size(); ++k) {
      const auto is_same = [&](const Binding& other) { return other.name == (*side)[k].name; };
      if (std::any_of(side->begin(), side->begin() + static_cast<std::ptrdiff_t>(k), is_same))
        throw Error("IO_MISMATCH", "\"" + (*side)[k].name + "\" is bound twice.");
    }
  }
}

Owned<Value> OrtSession::value_over(const Binding& binding, int type, void* data, const MemoryInfo* memory) const {
  const size_t bytes = static_cast<size_t>(count_of(binding.dims)) * element_size(type, binding.name);
  Value* value = nullptr;
  library_->check(
      library_->api.call(kCreateTensorWithDataAsOrtValue, memory, data, bytes, binding.dims.data(), binding.dims.size(), type, &value),
      "IO_MISMATCH", binding.name);
  return library_->own(value, kReleaseValue);
}

void OrtSession::fail(Status* status, const Cancellation& cancellation) const {
  if (cancellation.cancelled()) {
    library_->api.call<void>(kReleaseStatus, status);
    throw Error("ABORTED", "The run was aborted.");
  }
  const int code = library_->api.call<int>(kGetErrorCode, static_cast<const Status*>(status));
  const std::string message = library_->api.call<const char*>(kGetErrorMessage, static_cast<const Status*>(status));
  // An output of another size than is bound: refused where it is computed, or by what copies it from a GPU, without that code.
  const bool is_unfit = code == kInvalidArgument || message.find("Tensor size mismatch") != std::string::npos;
  library_->check(status, is_unfit ? "IO_MISMATCH" : "NETWORK_FAILED", "ONNX Runtime");
}

}  // namespace sada::ort
