// `gpus`: what a device library finds on this machine.
#pragma once

#include <napi.h>

namespace sada::bind {

// (library: string) → Promise of what is there. Starts each GPU's context, so that the first workspace on it opens quickly.
Napi::Value find_gpus(const Napi::CallbackInfo& info);

}  // namespace sada::bind
