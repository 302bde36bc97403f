// What the emulation found, for the cases that plant it.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace on_device {

inline bool mentions(const std::vector<std::string>& faults, const std::string& word) {
  return std::any_of(faults.begin(), faults.end(), [&](const std::string& fault) { return fault.find(word) != std::string::npos; });
}

void planted_cases();

}  // namespace on_device
