#include "execution.h"

#include <ucontext.h>

#include <memory>
#include <numeric>
#include <utility>

#include "shared_watch.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#else
inline void __sanitizer_start_switch_fiber(void**, const void*, size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) {}
#endif

namespace emulation {
namespace {

constexpr size_t kStackBytes = 128 << 10;
constexpr int kLanes = 32;
constexpr int kBlocksAtATime = 3;

enum class State { kReady, kAtBarrier, kAtExchange, kDone };

struct Block;

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  void* fake_stack = nullptr;
  State state = State::kDone;
  Block* block = nullptr;
  Index thread;
  int linear = 0, barriers = 0;
};

struct Warp {
  uint32_t arrived = 0, mask = 0;
  int parity = 0;
  uint64_t values[2][kLanes];
};

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

thread_local Faults faults;
thread_local Position current_position;

// A block that runs. Its fibers outlive it and serve the next one.
struct Block {
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<int> order;
  std::vector<Warp> warps;
  SharedMemory shared;
  Index index;
  int threads = 0, barriers = 0, epoch = 0;
  uint32_t slow_warps = 0;  // a bit each
  bool active = false;

  bool is_done() const {
    for (int t = 0; t < threads; ++t) {
      if (fibers[static_cast<size_t>(t)]->state != State::kDone) return false;
    }
    return true;
  }

  // Lets all go who wait at the barrier; false where others wait elsewhere, for ever.
  bool release_barrier() {
    int live = 0, at_barrier = 0;
    for (int t = 0; t < threads; ++t) {
      const State state = fibers[static_cast<size_t>(t)]->state;
      live += state != State::kDone, at_barrier += state == State::kAtBarrier;
    }
    if (at_barrier < live) {
      faults.add("threads wait for each other: " + std::to_string(at_barrier) + " at a barrier, " + std::to_string(live - at_barrier) +
                 " at an exchange");
      return false;
    }
    if (++barriers != options().forgotten_barrier) ++epoch;
    for (int t = 0; t < threads; ++t) {
      Fiber& fiber = *fibers[static_cast<size_t>(t)];
      if (fiber.state == State::kAtBarrier) fiber.state = State::kReady;
    }
    return true;
  }
};

// The GPU of one host thread.
class Machine {
 public:
  bool run(const Launch& launch, const std::function<void()>& thread);
  void barrier();
  void exchange(uint32_t mask, uint64_t value, uint64_t lanes[kLanes]);
  void* touch(size_t offset, size_t bytes, Access access) {
    Block& block = *running_->block;
    return block.shared.touch(offset, bytes, access, running_->linear, block.epoch, faults);
  }
  int barriers() const { return last_barriers_; }
  int64_t early_launches() const { return early_launches_; }
  void wait_for_earlier_work() { ++waits_; }
  int lane() const { return running_->linear % kLanes; }

 private:
  static void enter();
  void body();
  void prepare(Fiber& fiber);
  void resume(Fiber& fiber);
  void suspend();
  void begin(Block& block, const Launch& launch, uint64_t index, Random& random);
  bool run_in_turns(const Launch& launch, const std::vector<uint64_t>& order, Random& random);
  bool give_turn(Block& block, Random& random);

  Block blocks_[kBlocksAtATime];
  int last_barriers_ = 0;
  int64_t early_launches_ = 0, waits_ = 0;  // waits: of the running launch's threads
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
  current_position.thread = fiber.thread, current_position.block = fiber.block->index;
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
  if (++running_->barriers == options().broken_barrier) return;
  running_->state = State::kAtBarrier;
  suspend();
}

void Machine::exchange(uint32_t mask, uint64_t value, uint64_t lanes[kLanes]) {
  Block& block = *running_->block;
  Warp& warp = block.warps[static_cast<size_t>(running_->linear / kLanes)];
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
    for (int l = 0; l < kLanes && first + l < block.threads; ++l) {
      Fiber& other = *block.fibers[static_cast<size_t>(first + l)];
      if ((mask >> l & 1u) != 0 && other.state == State::kAtExchange) other.state = State::kReady;
    }
  } else {
    running_->state = State::kAtExchange;
    suspend();
  }
  std::copy_n(warp.values[parity], kLanes, lanes);
}

void Machine::begin(Block& block, const Launch& launch, uint64_t index, Random& random) {
  block.threads = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  while (block.fibers.size() < static_cast<size_t>(block.threads)) prepare(*block.fibers.emplace_back(std::make_unique<Fiber>()));
  block.index = {static_cast<unsigned>(index % launch.grid.x), static_cast<unsigned>(index / launch.grid.x), 0};
  block.barriers = block.epoch = 0;
  block.active = true;
  block.slow_warps = random.below(1u << 16) * 0x10001u;
  block.shared.reset(launch.shared_bytes);
  block.warps.assign(static_cast<size_t>((block.threads + kLanes - 1) / kLanes), Warp{});
  block.order.resize(static_cast<size_t>(block.threads));
  shuffle_order(block.order, random);
  for (int t = 0; t < block.threads; ++t) {
    Fiber& fiber = *block.fibers[static_cast<size_t>(t)];
    const unsigned linear = static_cast<unsigned>(t);
    fiber.state = State::kReady, fiber.block = &block, fiber.linear = t, fiber.barriers = 0;
    fiber.thread = {linear % launch.block.x, linear / launch.block.x % launch.block.y, linear / launch.block.x / launch.block.y};
  }
}

// Each thread that can runs until it waits; slow warps are passed over in most turns. False where all wait for ever.
bool Machine::give_turn(Block& block, Random& random) {
  bool any_ready = false;
  const uint32_t passed_over = random.below(4) == 0 ? 0 : block.slow_warps;
  for (int t : block.order) {
    Fiber& fiber = *block.fibers[static_cast<size_t>(t)];
    if (fiber.state != State::kReady) continue;
    any_ready = true;
    if ((passed_over >> (t / kLanes) & 1u) == 0) resume(fiber);
  }
  return any_ready || block.is_done() || block.release_barrier();
}

bool Machine::run_in_turns(const Launch& launch, const std::vector<uint64_t>& order, Random& random) {
  size_t next = 0;
  for (size_t running = 1; running > 0;) {
    running = 0;
    for (Block& block : blocks_) {
      if (!block.active && next < order.size()) begin(block, launch, order[next++], random);
      if (!block.active) continue;
      ++running;
      if (!give_turn(block, random)) return false;
      if (!block.is_done()) continue;
      block.active = false;
      last_barriers_ = block.barriers;
    }
  }
  return true;
}

bool Machine::run(const Launch& launch, const std::function<void()>& thread) {
  const size_t faults_before = faults.list.size();
  thread_ = &thread;
  waits_ = 0;
  if (launch.is_early) ++early_launches_;
  current_position.block_dim = launch.block, current_position.grid_dim = launch.grid;
  Random random(options().seed++);
  std::vector<uint64_t> order(static_cast<size_t>(launch.grid.x) * launch.grid.y);
  shuffle_order(order, random);
  if (run_in_turns(launch, order, random)) {
    const int64_t threads = static_cast<int64_t>(order.size()) * launch.block.x * launch.block.y * launch.block.z;
    if (launch.is_early && waits_ != threads)
      faults.add("of an early kernel's threads " + std::to_string(waits_) + " of " + std::to_string(threads) + " wait for the work before");
    return faults.list.size() == faults_before;
  }
  for (Block& block : blocks_) block.fibers.clear(), block.active = false;  // they would wait for ever
  return false;
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
int64_t early_launches() { return machine.early_launches(); }
void wait_for_earlier_work() { machine.wait_for_earlier_work(); }
void barrier() { machine.barrier(); }
void exchange(uint32_t mask, uint64_t value, uint64_t lanes[32]) { machine.exchange(mask, value, lanes); }
int lane() { return machine.lane(); }
void* touch(size_t offset, size_t bytes, Access access) { return machine.touch(offset, bytes, access); }

}  // namespace emulation
