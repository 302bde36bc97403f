// The kernels against the CPU backend, bit for bit, through the table that the addon uses. Linked with the emulated library, or given the
// path of one as an argument: then on that machine's GPU. The next argument names a section to run alone.
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
constexpr int kSectionArgument = 1;
// The kernels of all these cases must not have had a fault.
void without_faults(void (*run)()) {
  run();
  cases::test("no fault was found in these", [] {
    for (const std::string& fault : emulation::take_faults()) throw cases::Failure{fault};
  });
}
const sada::DeviceTable* open_table(int, char**) { return sada_device_table(sada::kDeviceAbi); }
#else
constexpr int kSectionArgument = 2;
void without_faults(void (*run)()) { run(); }
const sada::DeviceTable* open_table(int argc, char** argv) {
  void* library = argc < 2 ? nullptr : dlopen(argv[1], RTLD_NOW);
  if (library == nullptr) return std::printf("%s\n", argc < 2 ? "Expected the path of a library." : dlerror()), nullptr;
  const auto get = reinterpret_cast<decltype(&sada_device_table)>(dlsym(library, "sada_device_table"));
  return get == nullptr ? nullptr : get(sada::kDeviceAbi);
}
#endif

struct Section {
  const char* name;
  void (*run)();
};
constexpr Section sections[] = {{"step", [] { without_faults(step_cases); }},
                                {"tokens", [] { without_faults(token_cases); }},
                                {"select", [] { without_faults(select_cases); }},
                                {"convert", [] { without_faults(convert_cases); }},
                                {"device", [] { without_faults(device_cases); }},
                                {"sada", [] { without_faults(sada_cases); }},
#if defined(SADA_EMULATED)
                                {"emulation", emulation_cases}
#endif
};

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
  bool is_known = argc <= kSectionArgument;
  for (const Section& section : sections) {
    if (argc > kSectionArgument && std::string(argv[kSectionArgument]) != section.name) continue;
    is_known = true;
    section.run();
  }
  cases::test("the section is one of these", [&] { cases::expect(is_known, "none has this name"); });
  cases::test("destroying the device", [] { check(table().destroy(created), "destroy"); });
  const cases::Totals& totals = cases::totals();
  std::printf("%d passed, %d failed\n", totals.passed, totals.failed);
  return totals.failed == 0 && totals.passed > 0 ? 0 : 1;
}

}  // namespace on_device

int main(int argc, char** argv) { return on_device::main(argc, argv); }
