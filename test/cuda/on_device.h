// Buffers and calls on a device, for the cases: of the library given by path, or of the one that is linked.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "../../native/device.h"
#include "../../native/math/half.h"
#include "../native/cases.h"

namespace on_device {

const sada::DeviceTable& table();
sada::Device* device();

// Fails the case, in the library's words.
void check(sada::DeviceStatus status, const std::string& what);

// Device memory of exactly this many bytes, so that an access outside is seen.
class Memory {
 public:
  explicit Memory(int64_t bytes) : bytes_(bytes) { check(table().allocate(device(), bytes, &data_), "allocate"); }
  Memory(const void* from, int64_t bytes) : Memory(bytes) { check(table().upload(device(), data_, from, bytes), "upload"); }
  Memory(Memory&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }
  Memory(const Memory&) = delete;
  ~Memory() {
    if (data_ != nullptr) table().release(device(), data_);
  }
  char* data() const { return static_cast<char*>(data_); }
  std::vector<char> bytes() const {
    std::vector<char> got(static_cast<size_t>(bytes_));
    check(table().download(device(), got.data(), data_, bytes_), "download");
    check(table().synchronize(device()), "synchronize");
    return got;
  }

 private:
  void* data_ = nullptr;
  int64_t bytes_;
};

// Page-locked numbers that kernels write.
class Pinned {
 public:
  explicit Pinned(int64_t count) { check(table().allocate_host(device(), count * 8, &data_), "allocate_host"); }
  Pinned(const Pinned&) = delete;
  ~Pinned() { table().release_host(device(), data_); }
  double* data() const { return static_cast<double*>(data_); }

 private:
  void* data_ = nullptr;
};

inline std::vector<char> encoded(const std::vector<float>& values, sada::Storage type) {
  std::vector<char> bytes(values.size() * static_cast<size_t>(sada::bytes_of(type)));
  for (size_t k = 0; k < values.size(); ++k) {
    if (type == sada::Storage::kFloat32) {
      std::memcpy(bytes.data() + 4 * k, &values[k], 4);
    } else {
      const uint16_t half = type == sada::Storage::kFloat16 ? sada::to_float16(values[k]) : sada::to_bfloat16(values[k]);
      std::memcpy(bytes.data() + 2 * k, &half, 2);
    }
  }
  return bytes;
}

inline std::vector<float> decoded(const std::vector<char>& bytes, sada::Storage type) {
  std::vector<float> values(bytes.size() / static_cast<size_t>(sada::bytes_of(type)));
  for (size_t k = 0; k < values.size(); ++k) {
    if (type == sada::Storage::kFloat32) {
      std::memcpy(&values[k], bytes.data() + 4 * k, 4);
    } else {
      uint16_t half;
      std::memcpy(&half, bytes.data() + 2 * k, 2);
      values[k] = type == sada::Storage::kFloat16 ? sada::from_float16(half) : sada::from_bfloat16(half);
    }
  }
  return values;
}

// Equal bits, but any NaN for a NaN: which of them comes out of an operation differs between processors.
template <typename T>
void expect_same(const T* got, const T* wanted, int64_t count, const std::string& what) {
  for (int64_t k = 0; k < count; ++k) {
    if (std::memcmp(got + k, wanted + k, sizeof(T)) == 0 || (got[k] != got[k] && wanted[k] != wanted[k])) continue;
    throw cases::Failure{what + ": number " + std::to_string(k) + " is " + std::to_string(got[k]) + ", not " + std::to_string(wanted[k])};
  }
}

inline sada::Storage any_type(cases::Numbers& numbers) { return static_cast<sada::Storage>(numbers.below(3)); }

void step_cases();
void token_cases();
void select_cases();
void convert_cases();
void device_cases();
void sada_cases();
void emulation_cases();  // of the emulation itself

}  // namespace on_device
