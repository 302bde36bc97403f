// The kernels against the CPU backend, bit for bit, through the table that the addon uses. Linked with the emulated library, or given the
// path of one as an argument: then on that machine's GPU.
#include "on_device.h"

#if !defined(SADA_EMULATED)
#include <dlfcn.h>
#else
#include "emulation/execution.h"
#endif

namespace on_device {
namespace {

const sada::DeviceTable* opened = nullptr;
sada::Device* created = nullptr;

#if defined(SADA_EMULATED)
const sada::DeviceTable* open_table(int, char**) { return sada_device_table(sada::kDeviceAbi); }
#else
const sada::DeviceTable* open_table(int argc, char** argv) {
  void* library = argc < 2 ? nullptr : dlopen(argv[1], RTLD_NOW);
  if (library == nullptr) return std::printf("%s\n", argc < 2 ? "Expected the path of a library." : dlerror()), nullptr;
  const auto get = reinterpret_cast<decltype(&sada_device_table)>(dlsym(library, "sada_device_table"));
  return get == nullptr ? nullptr : get(sada::kDeviceAbi);
}
#endif

}  // namespace

const sada::DeviceTable& table() { return *opened; }
sada::Device* device() { return created; }

void check(sada::DeviceStatus status, const std::string& what) {
  if (status != 0) throw cases::Failure{what + ": " + table().error_string(status)};
}

int main(int argc, char** argv) {
  opened = open_table(argc, argv);
  if (opened == nullptr) return std::printf("The library has no table for this program.\n"), 1;
  const sada::DeviceStatus status = table().create(0, &created);
  if (status != 0) return std::printf("%s\n", table().error_string(status)), 3;
  const sada::DeviceLimits limits = {int64_t{3} << 20, sada::kMaxMembers, int64_t{1} << 16, 1 << 12};
  if (table().reserve(created, &limits) != 0) return std::printf("No memory for the cases.\n"), 3;
  step_cases();
  token_cases();
  select_cases();
  convert_cases();
  device_cases();
#if defined(SADA_EMULATED)
  cases::test("no fault was found in all these", [] {
    for (const std::string& fault : emulation::take_faults()) throw cases::Failure{fault};
  });
  emulation_cases();
#endif
  cases::test("destroying the device", [] { check(table().destroy(created), "destroy"); });
  const cases::Totals& totals = cases::totals();
  std::printf("%d passed, %d failed\n", totals.passed, totals.failed);
  return totals.failed == 0 && totals.passed > 0 ? 0 : 1;
}

}  // namespace on_device

int main(int argc, char** argv) { return on_device::main(argc, argv); }
