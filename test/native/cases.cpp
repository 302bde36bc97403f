// The addon's C++ without JavaScript, at the sizes where it breaks: built and run under sanitizers by scripts/sanitize-native.mjs.
#include "cases.h"

int main() {
  cases::step_cases();
  cases::convolution_cases();
  cases::token_cases();
  cases::number_cases();
  cases::memory_cases();
  cases::queue_cases();
  const cases::Totals& totals = cases::totals();
  std::printf("%d passed, %d failed\n", totals.passed, totals.failed);
  return totals.failed == 0 && totals.passed > 0 ? 0 : 1;
}
