// CUDA's execution model on one processor core: the threads of a block are fibers that run until they wait, a few blocks at a time, in
// turns. The order of blocks, of threads, and who is passed over in a turn are shuffled by a seed, so that results which depend on it
// differ. Shared memory is watched: two threads that touch a word between the same two barriers, one of them writing, are reported, and so
// is a word read before it was written. Memory is coherent at once: what a missing fence does is not seen.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

namespace emulation {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

// Where the running thread is.
struct Position {
  Index thread, block, block_dim, grid_dim;
};
Position& position();

struct Options {
  uint32_t seed = 1;  // of the order of blocks and threads; every launch takes the next
  int forgotten_barrier = 0;  // threads wait at a block's n-th barrier, but what they do is judged as if it were not there; 0: none
  int broken_barrier = 0;  // nobody waits at a thread's n-th barrier; 0: all hold
};
Options& options();

// How many barriers the block that ran last had.
int barriers_of_last_block();

// What went wrong since they were last taken.
std::vector<std::string> take_faults();

struct Launch {
  Index grid, block;
  size_t shared_bytes = 0;
  bool is_early = false;  // then every thread has to wait for the work before
};
// Runs all threads; false where a fault was found.
bool run(const Launch& launch, const std::function<void()>& thread);

// How many launches were early.
int64_t early_launches();

void barrier();
void wait_for_earlier_work();
// Exchanges 8 bytes among the lanes of `mask`, all of which must come; `lanes` then has those of every lane.
void exchange(uint32_t mask, uint64_t value, uint64_t lanes[32]);
int lane();

enum class Access { kRead, kWrite, kAtomic };
// The address of `bytes` of shared memory at `offset`, after a look at who else was there.
void* touch(size_t offset, size_t bytes, Access access);

template <typename T>
uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <typename T>
T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// What a shuffle returns whose source lane is `source`; the own value where there is none.
template <typename T>
T shuffle(uint32_t mask, T value, int source) {
  uint64_t lanes[32];
  exchange(mask, to_bits(value), lanes);
  return source < 0 || source > 31 ? value : from_bits<T>(lanes[source]);
}

}  // namespace emulation

#define threadIdx (emulation::position().thread)
#define blockIdx (emulation::position().block)
#define blockDim (emulation::position().block_dim)
#define gridDim (emulation::position().grid_dim)

inline void __syncthreads() { emulation::barrier(); }
inline void __threadfence() {}
template <typename T>
T __shfl_down_sync(uint32_t mask, T value, int offset) {
  return emulation::shuffle(mask, value, emulation::lane() + offset);
}
template <typename T>
T __shfl_up_sync(uint32_t mask, T value, int offset) {
  return emulation::shuffle(mask, value, emulation::lane() - offset);
}
template <typename T>
T __shfl_xor_sync(uint32_t mask, T value, int bits) {
  return emulation::shuffle(mask, value, emulation::lane() ^ bits);
}
inline uint32_t __ballot_sync(uint32_t mask, bool vote) {
  uint64_t lanes[32];
  emulation::exchange(mask, vote ? 1 : 0, lanes);
  uint32_t votes = 0;
  for (int l = 0; l < 32; ++l) votes |= (mask >> l & 1u) != 0 && lanes[l] != 0 ? 1u << l : 0u;
  return votes;
}
inline int __popc(uint32_t bits) { return __builtin_popcount(bits); }
template <typename T>
T __ldcg(const T* address) {
  return *address;
}
inline uint32_t atomicAdd(uint32_t* address, uint32_t value) {
  const uint32_t before = *address;
  *address = before + value;
  return before;
}

namespace sada::cuda {

// Work on a stream is done one after the other here; that a kernel waits for it is counted.
inline void wait_for_earlier_work() { emulation::wait_for_earlier_work(); }
template <typename T>
void read_ahead(const T&) {}
inline uint32_t count_in(uint32_t* counter) { return atomicAdd(counter, 1u); }

// A block's shared memory, watched.
template <typename T>
class Shared {
  static_assert(sizeof(T) % 4 == 0, "words are watched");

 public:
  class Element {
   public:
    explicit Element(size_t offset) : offset_(offset) {}
    operator T() const { return *static_cast<T*>(emulation::touch(offset_, sizeof(T), emulation::Access::kRead)); }
    void operator=(const T& value) const { *static_cast<T*>(emulation::touch(offset_, sizeof(T), emulation::Access::kWrite)) = value; }
    void operator=(const Element& other) const { *this = static_cast<T>(other); }

   private:
    size_t offset_;
  };

  explicit Shared(size_t offset) : offset_(offset) {}
  Element operator[](int at) const { return Element(offset_ + static_cast<size_t>(at) * sizeof(T)); }
  void add(int at, T value) const {
    *static_cast<T*>(emulation::touch(offset_ + static_cast<size_t>(at) * sizeof(T), sizeof(T), emulation::Access::kAtomic)) += value;
  }

 private:
  size_t offset_;
};

template <typename T>
Shared<T> shared_memory(int offset = 0) {
  return Shared<T>(static_cast<size_t>(offset));
}

}  // namespace sada::cuda
