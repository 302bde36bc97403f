// Memory, limits and errors of a device.
#include "on_device.h"

namespace on_device {
namespace {

using sada::DeviceFailure;
using sada::DeviceStep;

DeviceFailure failure_of(sada::DeviceStatus status) { return table().failure(status); }

void memory() {
  cases::test("memory is zero when it is allocated, also where something was", [] {
    for (int64_t bytes : {1, 255, 256, 4097}) {
      { const Memory dirty(std::string(static_cast<size_t>(bytes), 'x').data(), bytes); }
      const Memory clean(bytes);
      cases::expect(reinterpret_cast<uintptr_t>(clean.data()) % 256 == 0, "alignment");
      cases::expect(clean.bytes() == std::vector<char>(static_cast<size_t>(bytes), 0), std::to_string(bytes) + " bytes");
    }
  });
  cases::test("no bytes are null; none are moved", [] {
    const Memory none(0);
    cases::expect(none.data() == nullptr, "an address");
    check(table().copy(device(), nullptr, nullptr, 0), "copy");
    check(table().fill(device(), nullptr, 1, 0), "fill");
  });
  cases::test("upload, copy, fill and download in the stream's order", [] {
    const std::string text = "abcdefgh";
    const Memory a(text.data(), 8), b(8);
    check(table().copy(device(), b.data(), a.data(), 8), "copy");
    check(table().fill(device(), b.data() + 2, '-', 3), "fill");
    const std::vector<char> got = b.bytes();
    cases::expect(std::string(got.begin(), got.end()) == "ab---fgh", "bytes");
  });
  cases::test("what does not fit is out of memory, and the device goes on", [] {
    void* memory = &memory;
    cases::expect(failure_of(table().allocate(device(), int64_t{1} << 50, &memory)) == DeviceFailure::kOutOfMemory, "its failure");
    cases::expect(memory == nullptr, "an address");
    cases::expect(failure_of(table().allocate(device(), -1, &memory)) == DeviceFailure::kInvalid, "less than none");
    check(table().synchronize(device()), "synchronize");
  });
}

void limits() {
  cases::test("scratch has the size that is quoted, or more", [] {
    const sada::DeviceLimits one = {1024, 1, 0, 0}, tiles = {int64_t{1} << 20, 2, 1 << 20, 100};
    cases::expect(table().reserve_bytes(&one) == 256, "one tile: six sums");  // 6 * 8 bytes, rounded up
    // Partials: 1024 tiles and their sum, six times, for two; a ticket for each of two; terms for two; indices.
    const int64_t wanted = (2 * 6 * 1025 * 8 + 255) / 256 * 256 + 256 + 2 * (4 << 20) + 512;
    cases::expect(table().reserve_bytes(&tiles) == wanted, "tiles");
    sada::Device* small;
    check(table().create(0, &small), "create");
    DeviceStep step;
    step.request.length = 1;
    cases::expect(failure_of(table().step(small, &step, 1, nullptr)) == DeviceFailure::kInvalid, "nothing reserved");
    check(table().reserve(small, &one), "reserve");
    check(table().step(small, &step, 1, nullptr), "within");
    step.request.length = 1025;
    cases::expect(failure_of(table().step(small, &step, 1, nullptr)) == DeviceFailure::kInvalid, "longer");
    const sada::DeviceLimits wrong = {1, sada::kMaxMembers + 1, 0, 0}, endless = {int64_t{1} << 62, 1, 0, 0};
    cases::expect(failure_of(table().reserve(small, &wrong)) == DeviceFailure::kInvalid, "too many members");
    cases::expect(failure_of(table().reserve(small, &endless)) == DeviceFailure::kInvalid, "too long");
    check(table().destroy(small), "destroy");
  });
  cases::test("what cannot be reserved leaves a device that refuses steps until it can", [] {
    sada::Device* small;
    check(table().create(0, &small), "create");
    const sada::DeviceLimits too_large = {int64_t{1} << 40, sada::kMaxMembers, int64_t{1} << 40, 0}, one = {4, 1, 0, 0};
    check(table().reserve(small, &one), "reserve");
    cases::expect(failure_of(table().reserve(small, &too_large)) == DeviceFailure::kOutOfMemory, "its failure");
    DeviceStep step;
    cases::expect(failure_of(table().step(small, &step, 1, nullptr)) == DeviceFailure::kInvalid, "a step");
    check(table().reserve(small, &one), "reserve again");
    check(table().step(small, &step, 1, nullptr), "a step again");
    check(table().destroy(small), "destroy");
  });
}

void errors() {
  cases::test("devices that are not there, and no device, are refused", [] {
    sada::Device* none = device();
    cases::expect(table().create(1 << 20, &none) != 0 && none == nullptr, "create");
    cases::expect(failure_of(table().synchronize(nullptr)) == DeviceFailure::kInvalid, "synchronize");
    check(table().destroy(nullptr), "destroy");
    sada::DeviceInfo info;
    cases::expect(table().describe(-1, &info) != 0, "describe");
  });
  cases::test("a device describes itself", [] {
    sada::DeviceSystem system;
    check(table().system(&system), "system");
    cases::expect(system.devices >= 1 && system.driver_version >= system.runtime_version && system.runtime_version >= 13000, "versions");
    sada::DeviceInfo info;
    check(table().describe(0, &info), "describe");
    cases::expect(info.name[0] != '\0' && 10 * info.capability_major + info.capability_minor >= 75, "name and capability");
    cases::expect(info.free_bytes > 0 && info.free_bytes <= info.total_bytes && info.multiprocessors > 0, "memory");
  });
  cases::test("each failure has its kind", [] {
    const std::pair<int, DeviceFailure> all[] = {{0, DeviceFailure::kNone},          {1, DeviceFailure::kInvalid},
                                                 {2, DeviceFailure::kOutOfMemory},   {35, DeviceFailure::kUnavailable},
                                                 {100, DeviceFailure::kUnavailable}, {209, DeviceFailure::kUnavailable},
                                                 {700, DeviceFailure::kLost},        {719, DeviceFailure::kLost},
                                                 {999, DeviceFailure::kLost},        {600, DeviceFailure::kOther}};
    for (const auto& [status, failure] : all) cases::expect(failure_of(status) == failure, std::to_string(status));
  });
  cases::test("a table of another version is not handed out", [] { cases::expect(table().abi == sada::kDeviceAbi, "its version"); });
}

std::string text_of(const Memory& memory) {
  const std::vector<char> got = memory.bytes();
  return {got.begin(), got.end()};
}

void graphs() {
  cases::test("recorded work is done at every launch, on what memory holds then, in the stream's order", [] {
    const Memory from("abcd", 4), to("....", 4), kept(8);
    const Pinned indices(1);
    sada::DeviceMove move;
    move.from = from.data(), move.to = kept.data(), move.indices_on_host = true;
    move.from_type = move.to_type = sada::Storage::kFloat16;  // two tokens of two bytes
    move.rows = 1, move.tokens = 2, move.channels = 1, move.kept = 1;
    auto* index = reinterpret_cast<int32_t*>(indices.data());
    move.indices = index;
    sada::DeviceGraph* graph = nullptr;
    check(table().begin_capture(device()), "begin_capture");
    check(table().gather(device(), &move), "gather");
    check(table().copy(device(), to.data() + 2, kept.data(), 2), "copy");
    check(table().end_capture(device(), &graph), "end_capture");
    cases::expect(text_of(to) == "....", "done while it was recorded");
    for (const auto& [token, wanted] : {std::pair{0, "..ab"}, {1, "..cd"}, {0, "..ab"}}) {
      *index = token;
      check(table().launch(device(), graph), "launch");
      cases::expect(text_of(to) == wanted, wanted);
    }
    check(table().release_graph(device(), graph), "release_graph");
    check(table().release_graph(device(), nullptr), "release_graph of none");
  });
  cases::test("a step that is recorded has the same sums at every launch", [] {
    const std::vector<float> values = {1.0f, -2.0f, 4.0f};
    const Memory input(values.data(), 12);
    const Pinned sums(1);
    DeviceStep step;
    step.request.length = 3, step.request.inputs = step.request.rows = step.request.sums = 1;
    step.request.input[0] = reinterpret_cast<const float*>(input.data());
    step.request.store[0] = reinterpret_cast<float*>(input.data());  // in place: twice as much at every launch
    step.request.row[0].set(0, 2.0f);
    sada::DeviceGraph* graph = nullptr;
    check(table().begin_capture(device()), "begin_capture");
    check(table().step(device(), &step, 1, sums.data()), "step");
    check(table().end_capture(device(), &graph), "end_capture");
    for (double wanted : {14.0, 28.0, 56.0}) {
      check(table().launch(device(), graph), "launch");
      check(table().synchronize(device()), "synchronize");
      cases::expect(*sums.data() == wanted, std::to_string(wanted));
    }
    check(table().release_graph(device(), graph), "release_graph");
  });
  cases::test("who waits or allocates while work is recorded is refused, and the device goes on", [] {
    const Memory memory("ab", 2);
    for (int k = 0; k < 2; ++k) {
      check(table().begin_capture(device()), "begin_capture");
      check(table().fill(device(), memory.data(), 'x', 2), "fill");
      void* more = nullptr;
      cases::expect((k == 0 ? table().synchronize(device()) : table().allocate(device(), 256, &more)) != 0, "not refused");
      sada::DeviceGraph* graph = nullptr;
      cases::expect(failure_of(table().end_capture(device(), &graph)) == DeviceFailure::kOther && graph == nullptr, "a graph");
      cases::expect(text_of(memory) == "ab", "done all the same");
    }
  });
}

}  // namespace

void device_cases() {
  memory();
  limits();
  graphs();
  errors();
}

}  // namespace on_device
