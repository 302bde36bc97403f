#include "execution.h"

#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#else
inline void __sanitizer_start_switch_fiber(void**, const void*, size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) {}
#endif

namespace emulation {
namespace {

constexpr size_t kStackBytes = 256 << 10;
constexpr size_t kMostFaults = 20;
constexpr int kLanes = 32;

enum class State { kReady, kAtBarrier, kAtExchange, kDone };

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  void* fake_stack = nullptr;
  State state = State::kDone;
  Index thread;
  int linear = 0;
};

struct Warp {
  uint32_t arrived = 0, mask = 0;
  int parity = 0;
  uint64_t values[2][kLanes];
};

// What happened to a word of shared memory since the last barrier.
struct Word {
  int written_at = -1, read_at = -1;  // barriers passed
  int writer = -1, reader = -1;       // a thread; kMany
  bool atomic = false, ever_written = false;
};
constexpr int kMany = -2;

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 0x9e3779b9u + 1) {}
  uint32_t below(uint32_t limit) {
    uint32_t h = state_ += 0x9e3779b9u;
    h = (h ^ (h >> 16)) * 0x21f0aaadu;
    h = (h ^ (h >> 15)) * 0x735a2d97u;
    return static_cast<uint32_t>((static_cast<uint64_t>(h ^ (h >> 15)) * limit) >> 32);
  }

 private:
  uint32_t state_;
};

template <typename T>
void shuffle_order(std::vector<T>& order, Random& random) {
  std::iota(order.begin(), order.end(), T{0});
  for (size_t k = order.size(); k > 1; --k) std::swap(order[k - 1], order[random.below(static_cast<uint32_t>(k))]);
}

struct Faults {
  std::vector<std::string> list;
  void add(const std::string& fault) {
    if (list.size() < kMostFaults && std::find(list.begin(), list.end(), fault) == list.end()) list.push_back(fault);
  }
};
thread_local Faults faults;
thread_local Position current_position;

// The multiprocessor of one host thread: fibers that outlive blocks, and the block that they run.
class Machine {
 public:
  bool run(const Launch& launch, const std::function<void()>& thread);
  void barrier();
  void exchange(uint32_t mask, uint64_t value, uint64_t lanes[kLanes]);
  void* touch(size_t offset, size_t bytes, Access access);
  int barriers() const { return barriers_; }
  int lane() const { return running_->linear % kLanes; }

 private:
  static void enter();
  void body();
  void prepare(Fiber& fiber);
  void resume(Fiber& fiber);
  void suspend();
  bool run_block(const Launch& launch, Random& random);
  bool release_barrier();
  void look(Word& word, size_t at, Access access);

  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<int> order_;
  std::vector<Warp> warps_;
  std::vector<char> shared_storage_;
  char* shared_ = nullptr;
  size_t shared_bytes_ = 0;
  std::vector<Word> words_;
  int threads_ = 0, barriers_ = 0, epoch_ = 0;
  const std::function<void()>* thread_ = nullptr;
  Fiber* running_ = nullptr;
  ucontext_t scheduler_;
  void* scheduler_fake_stack_ = nullptr;
  const void* scheduler_stack_ = nullptr;
  size_t scheduler_stack_bytes_ = 0;
};
thread_local Machine machine;

void Machine::enter() { machine.body(); }

void Machine::body() {
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack_, &scheduler_stack_bytes_);
  for (;;) {
    (*thread_)();
    running_->state = State::kDone;
    suspend();
  }
}

void Machine::prepare(Fiber& fiber) {
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = nullptr;
  fiber.fake_stack = nullptr;
  makecontext(&fiber.context, &Machine::enter, 0);
  fiber.context.uc_stack.ss_size = 0;  // else the address sanitizer clears what it knows of the whole stack at every switch
}

void Machine::resume(Fiber& fiber) {
  running_ = &fiber;
  current_position.thread = fiber.thread;
  __sanitizer_start_switch_fiber(&scheduler_fake_stack_, fiber.stack.get(), kStackBytes);
  swapcontext(&scheduler_, &fiber.context);
  __sanitizer_finish_switch_fiber(scheduler_fake_stack_, nullptr, nullptr);
}

void Machine::suspend() {
  Fiber& fiber = *running_;
  __sanitizer_start_switch_fiber(&fiber.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
  swapcontext(&fiber.context, &scheduler_);
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
}

void Machine::barrier() {
  running_->state = State::kAtBarrier;
  suspend();
}

void Machine::exchange(uint32_t mask, uint64_t value, uint64_t lanes[kLanes]) {
  Warp& warp = warps_[static_cast<size_t>(running_->linear / kLanes)];
  const uint32_t own = 1u << lane();
  if ((mask & own) == 0) faults.add("a lane takes part in an exchange that does not name it");
  if (warp.arrived != 0 && warp.mask != mask) faults.add("lanes of a warp exchange under different masks");
  const int parity = warp.parity;
  warp.values[parity][lane()] = value;
  warp.mask = mask;
  warp.arrived |= own;
  if (warp.arrived == mask) {
    // The last one lets the others go; they read this half before any of them can have come to the one after the next.
    warp.arrived = 0;
    warp.parity = 1 - parity;
    const int first = running_->linear - lane();
    for (int l = 0; l < kLanes; ++l) {
      if ((mask >> l & 1u) != 0 && first + l < threads_ && fibers_[static_cast<size_t>(first + l)]->state == State::kAtExchange) {
        fibers_[static_cast<size_t>(first + l)]->state = State::kReady;
      }
    }
  } else {
    running_->state = State::kAtExchange;
    suspend();
  }
  std::copy_n(warp.values[parity], kLanes, lanes);
}

void Machine::look(Word& word, size_t at, Access access) {
  const int thread = running_->linear;
  const auto race = [at](const char* what) { faults.add(std::string("race: ") + what + " between two barriers at byte " + std::to_string(at) + " of shared memory"); };
  const bool written = word.written_at == epoch_, read = word.read_at == epoch_;
  if (!word.ever_written && access != Access::kWrite) faults.add("read before it was written");
  if (access == Access::kRead) {
    if (written && word.writer != thread) race("read and write");
    word.reader = read && word.reader != thread ? kMany : thread;
    word.read_at = epoch_;
    return;
  }
  const bool both_atomic = access == Access::kAtomic && word.atomic;
  if (written && word.writer != thread && !both_atomic) race("two writes");
  if (read && word.reader != thread) race("write and read");
  word.writer = written && word.writer != thread ? kMany : thread;
  word.written_at = epoch_;
  word.atomic = access == Access::kAtomic;
  word.ever_written = true;
}

void* Machine::touch(size_t offset, size_t bytes, Access access) {
  static thread_local uint64_t nowhere[2];
  if (offset > shared_bytes_ || bytes > shared_bytes_ - offset || offset % std::min<size_t>(bytes, 16) != 0) {
    faults.add("access outside of shared memory, or misaligned");
    return nowhere;
  }
  for (size_t at = offset; at < offset + bytes; at += 4) look(words_[at / 4], at, access);
  return shared_ + offset;
}

bool Machine::release_barrier() {
  int live = 0, at_barrier = 0;
  for (int t = 0; t < threads_; ++t) {
    const State state = fibers_[static_cast<size_t>(t)]->state;
    live += state != State::kDone, at_barrier += state == State::kAtBarrier;
  }
  if (at_barrier < live) {
    faults.add("threads wait for each other: " + std::to_string(at_barrier) + " at a barrier, " + std::to_string(live - at_barrier) + " at an exchange");
    return false;
  }
  if (++barriers_ != options().forgotten_barrier) ++epoch_;
  for (int t = 0; t < threads_; ++t) {
    Fiber& fiber = *fibers_[static_cast<size_t>(t)];
    if (fiber.state == State::kAtBarrier) fiber.state = State::kReady;
  }
  return true;
}

bool Machine::run_block(const Launch& launch, Random& random) {
  barriers_ = epoch_ = 0;
  std::fill(shared_, shared_ + shared_bytes_, static_cast<char>(0xcb));
  words_.assign((shared_bytes_ + 3) / 4, Word{});
  warps_.assign(static_cast<size_t>((threads_ + kLanes - 1) / kLanes), Warp{});
  for (int t = 0; t < threads_; ++t) {
    Fiber& fiber = *fibers_[static_cast<size_t>(t)];
    const unsigned linear = static_cast<unsigned>(t);
    fiber.state = State::kReady, fiber.linear = t;
    fiber.thread = {linear % launch.block.x, linear / launch.block.x % launch.block.y, linear / launch.block.x / launch.block.y};
  }
  shuffle_order(order_, random);
  for (;;) {
    bool any = false, all_done = true;
    for (int t : order_) {
      Fiber& fiber = *fibers_[static_cast<size_t>(t)];
      if (fiber.state == State::kReady) any = true, resume(fiber);
      all_done = all_done && fiber.state == State::kDone;
    }
    if (all_done) return true;
    if (!any && !release_barrier()) return false;
  }
}

bool Machine::run(const Launch& launch, const std::function<void()>& thread) {
  const size_t faults_before = faults.list.size();
  threads_ = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  while (fibers_.size() < static_cast<size_t>(threads_)) prepare(*fibers_.emplace_back(std::make_unique<Fiber>()));
  order_.resize(static_cast<size_t>(threads_));
  shared_bytes_ = launch.shared_bytes;
  shared_storage_.resize(shared_bytes_ + 16);
  shared_ = shared_storage_.data() + (16 - reinterpret_cast<uintptr_t>(shared_storage_.data()) % 16) % 16;
  thread_ = &thread;
  current_position.block_dim = launch.block, current_position.grid_dim = launch.grid;
  Random random(options().seed++);
  std::vector<uint64_t> blocks(static_cast<size_t>(launch.grid.x) * launch.grid.y);
  shuffle_order(blocks, random);
  for (uint64_t block : blocks) {
    current_position.block = {static_cast<unsigned>(block % launch.grid.x), static_cast<unsigned>(block / launch.grid.x), 0};
    if (run_block(launch, random)) continue;
    fibers_.clear();  // they would wait for ever
    return false;
  }
  return faults.list.size() == faults_before;
}

}  // namespace

Position& position() { return current_position; }

Options& options() {
  static thread_local Options all;
  return all;
}

std::vector<std::string> take_faults() { return std::exchange(faults.list, {}); }
bool run(const Launch& launch, const std::function<void()>& thread) { return machine.run(launch, thread); }
int barriers_of_last_block() { return machine.barriers(); }
void barrier() { machine.barrier(); }
void exchange(uint32_t mask, uint64_t value, uint64_t lanes[32]) { machine.exchange(mask, value, lanes); }
int lane() { return machine.lane(); }
void* touch(size_t offset, size_t bytes, Access access) { return machine.touch(offset, bytes, access); }

}  // namespace emulation
