// Errors inside the addon: a code of ts/errors.ts and a message. Translated once, at the binding.
#pragma once

#include <stdexcept>
#include <string>

namespace sada {

class Error : public std::runtime_error {
 public:
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;
};

inline Error invalid(const std::string& message) { return Error("INVALID_ARGUMENT", message); }

}  // namespace sada
