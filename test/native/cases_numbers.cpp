// Conversions between float32 and the element types of models.
#include <cmath>
#include <limits>

#include "../../native/engine/element_type.h"
#include "../../native/math/half.h"
#include "cases.h"

namespace cases {
namespace {

struct Half {
  const char* name;
  uint16_t (*to)(float);
  float (*from)(uint16_t);
};
uint16_t to16(float v) { return sada::to_float16(v); }
float from16(uint16_t v) { return sada::from_float16(v); }
uint16_t to_brain(float v) { return sada::to_bfloat16(v); }
float from_brain(uint16_t v) { return sada::from_bfloat16(v); }

// Between a value and the next one of the same sign lies the tie: it goes to the even one, its neighbours to the nearer.
void check_rounding(const Half& half) {
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    const uint16_t bits = static_cast<uint16_t>(pattern);
    const float value = half.from(bits);
    const std::string at = "pattern " + std::to_string(pattern);
    if (std::isnan(value)) {
      expect(std::isnan(half.from(half.to(value))), at + " lost its NaN");
      continue;
    }
    expect(half.to(value) == bits, at + " does not come back");
    const float next = half.from(static_cast<uint16_t>(bits + 1));
    if (std::isnan(next) || std::isinf(value)) continue;
    // The largest finite value's neighbour is infinity; its tie lies as far above it as the last but one's.
    const double step = std::isinf(next) ? static_cast<double>(value) - static_cast<double>(half.from(static_cast<uint16_t>(bits - 1)))
                                         : static_cast<double>(next) - static_cast<double>(value);
    const float tie = static_cast<float>(static_cast<double>(value) + step / 2);
    if (std::isinf(tie)) continue;  // as in bfloat16, where it is beyond float32
    const uint16_t even = static_cast<uint16_t>(bits % 2 == 0 ? bits : bits + 1);
    expect(half.to(tie) == even, at + ": tie");
    expect(half.to(std::nextafter(tie, 0.0f)) == bits, at + ": below the tie");
    expect(half.to(std::nextafter(tie, std::copysign(std::numeric_limits<float>::infinity(), value))) == static_cast<uint16_t>(bits + 1),
           at + ": above the tie");
  }
}

void check_types() {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN(),
                  most = std::numeric_limits<float>::max();
  const std::vector<float> values = {
      0.0f,   -0.0f,         1.0f,           -1.0f,   0.5f,     -0.5f, 127.0f, 128.0f, -128.0f,  -129.0f,   255.0f, 256.0f,
      300.7f, 2147483648.0f, -2147483648.0f, 0x1p63f, -0x1p63f, most,  -most,  1e-45f, infinity, -infinity, nan};
  for (int type : {1, 2, 3, 6, 7, 9, 10, 11, 16}) {
    std::vector<uint8_t> elements(values.size() * sada::element_size(type, "x"));
    std::vector<float> back(values.size());
    sada::floats_to_elements(type, values.data(), elements.data(), static_cast<int64_t>(values.size()));
    sada::elements_to_floats(type, elements.data(), back.data(), static_cast<int64_t>(values.size()));
    const std::string name = sada::element_type_name(type);
    expect(back[0] == 0.0f && back[2] == 1.0f, name + " of 0 and 1");
    const float last = back[values.size() - 1];
    expect(type == 9 ? last == 1.0f : std::isnan(last) || last == 0.0f, name + " of NaN");
  }
  expect(code_of([] { sada::element_size(8, "x"); }) == "IO_MISMATCH", "strings are converted");
}

}  // namespace

void number_cases() {
  test("float16 rounds to nearest even", [] { check_rounding({"float16", to16, from16}); });
  test("bfloat16 rounds to nearest even", [] { check_rounding({"bfloat16", to_brain, from_brain}); });
  test("values at the ends of every element type", check_types);
}

}  // namespace cases
