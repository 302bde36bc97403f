// `gpus`: what a device library finds on this machine. `gpuScratch`: what it needs for calls.
#pragma once

#include <napi.h>

namespace sada::bind {

// (library: string) → Promise of what is there. Starts each GPU's context, so that the first workspace on it opens quickly.
Napi::Value find_gpus(const Napi::CallbackInfo& info);

// (library: string, calls) → { device, pinned }: bytes that a workspace takes for such calls beside its tensors. Needs no GPU.
Napi::Value measure_gpu_scratch(const Napi::CallbackInfo& info);

}  // namespace sada::bind
