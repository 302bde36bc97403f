// The library as an application meets it: opened by path, on a machine with or without a GPU. Its path is the argument; where there is a
// GPU the second is the word "gpu".
#include <dlfcn.h>

#include <string>

#include "../../native/device.h"
#include "../native/cases.h"

namespace {

using cases::expect;
using sada::DeviceTable;

using GetTable = decltype(&sada_device_table);

GetTable open_table(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw cases::Failure{dlerror()};
  return reinterpret_cast<GetTable>(dlsym(library, "sada_device_table"));
}

// A table whose every entry is there.
void check_whole(const DeviceTable& table) {
  const auto* entries = reinterpret_cast<void* const*>(&table.system);
  const auto* end = reinterpret_cast<void* const*>(&table + 1);
  for (int k = 0; entries + k < end; ++k) expect(entries[k] != nullptr, "entry " + std::to_string(k) + " is null");
}

// Without a GPU every way in says why, and nothing more happens.
void check_without_gpu(const DeviceTable& table) {
  sada::DeviceSystem system;
  const sada::DeviceStatus status = table.system(&system);
  const std::string reason = table.error_string(status);
  std::printf("without a GPU the library says: %s (driver %d, runtime %d)\n", reason.c_str(), system.driver_version,
              system.runtime_version);
  expect(table.failure(status) == sada::DeviceFailure::kUnavailable, "the failure's kind: " + reason);
  expect(reason.find("driver") != std::string::npos || reason.find("device") != std::string::npos, "the reason: " + reason);
  expect(system.devices == 0 && system.runtime_version >= 13000, "versions");
  sada::Device* device = reinterpret_cast<sada::Device*>(&system);
  const sada::DeviceStatus created = table.create(0, &device);
  expect(device == nullptr && table.failure(created) == sada::DeviceFailure::kUnavailable,
         "create: " + std::string(table.error_string(created)));
  sada::DeviceInfo info;
  expect(table.describe(0, &info) != 0 && info.name[0] == '\0', "describe");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::printf("Expected the path of a library.\n"), 2;
  const DeviceTable* table = nullptr;
  cases::test("the library opens and hands out its table, whole", [&] {
    const GetTable get = open_table(argv[1]);
    expect(get != nullptr, "no sada_device_table");
    expect(get(sada::kDeviceAbi + 1) == nullptr && get(0) == nullptr, "a table for another version");
    table = get(sada::kDeviceAbi);
    expect(table != nullptr && table->abi == sada::kDeviceAbi && std::string(table->name) == "cuda", "its own version and name");
    check_whole(*table);
  });
  if (table == nullptr) return std::printf("0 passed, 1 failed\n"), 1;
  cases::test("sizes are known without a device", [&] {
    const sada::DeviceLimits limits = {1024, 1, 0, 0};
    expect(table->reserve_bytes(&limits) == 256, "six sums of eight bytes, rounded up");
  });
  if (argc < 3) cases::test("without a GPU the reason is said, by every way in", [&] { check_without_gpu(*table); });
  std::printf("%d passed, %d failed\n", cases::totals().passed, cases::totals().failed);
  return cases::totals().failed == 0 ? 0 : 1;
}
