// Opening a shared library by path, for good.
#pragma once

#include <string>

#include "../error.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace sada {

#if defined(_WIN32)
// ONNX Runtime takes wide paths on Windows.
inline std::wstring library_path(const std::string& utf8) {
  const int length = MultiByteToWideChar(CP_UTF8, 0, utf8.c_str(), -1, nullptr, 0);
  std::wstring wide(static_cast<size_t>(length), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, utf8.c_str(), -1, wide.data(), length);
  return wide;
}
inline void* open_library(const std::string& path) {
  HMODULE handle = LoadLibraryExW(library_path(path).c_str(), nullptr, LOAD_WITH_ALTERED_SEARCH_PATH);
  if (handle == nullptr) throw Error("BACKEND_UNAVAILABLE", path + " does not open: error " + std::to_string(GetLastError()) + ".");
  return handle;
}
inline void* find_symbol(void* handle, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(handle), name));
}
#else
inline const std::string& library_path(const std::string& utf8) { return utf8; }
inline void* open_library(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) throw Error("BACKEND_UNAVAILABLE", dlerror());
  return handle;
}
inline void* find_symbol(void* handle, const char* name) { return dlsym(handle, name); }
#endif

}  // namespace sada
