// A block's shared memory, and who touched which word of it since the last barrier.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "execution.h"

namespace emulation {

constexpr size_t kMostFaults = 20;

// What went wrong on this host thread.
struct Faults {
  std::vector<std::string> list;
  void add(const std::string& fault) {
    if (list.size() < kMostFaults && std::find(list.begin(), list.end(), fault) == list.end()) list.push_back(fault);
  }
};

class SharedMemory {
 public:
  // Filled with what nobody wrote.
  void reset(size_t bytes) {
    bytes_ = bytes;
    storage_.assign(bytes + kAlignment, static_cast<char>(0xcb));
    first_ = storage_.data() + (kAlignment - reinterpret_cast<uintptr_t>(storage_.data()) % kAlignment) % kAlignment;
    words_.assign((bytes + 3) / 4, Word{});
  }

  // `epoch`: barriers passed.
  void* touch(size_t offset, size_t bytes, Access access, int thread, int epoch, Faults& faults) {
    static thread_local uint64_t nowhere[2];
    if (offset > bytes_ || bytes > bytes_ - offset || offset % std::min(bytes, kAlignment) != 0) {
      faults.add("access outside of shared memory, or misaligned");
      return nowhere;
    }
    for (size_t at = offset; at < offset + bytes; at += 4) look(words_[at / 4], at, access, thread, epoch, faults);
    return first_ + offset;
  }

 private:
  static constexpr size_t kAlignment = 16;
  static constexpr int kMany = -2;

  // What happened to a word since the last barrier.
  struct Word {
    int written_at = -1, read_at = -1;  // barriers passed
    int writer = -1, reader = -1;  // a thread, or kMany
    bool atomic = false, ever_written = false;
  };

  static void look(Word& word, size_t at, Access access, int thread, int epoch, Faults& faults) {
    const auto race = [&](const char* what) {
      faults.add(std::string("race: ") + what + " between two barriers at byte " + std::to_string(at) + " of shared memory");
    };
    const bool written = word.written_at == epoch, read = word.read_at == epoch;
    if (!word.ever_written && access != Access::kWrite) faults.add("read before it was written");
    if (access == Access::kRead) {
      if (written && word.writer != thread) race("read and write");
      word.reader = read && word.reader != thread ? kMany : thread;
      word.read_at = epoch;
      return;
    }
    const bool both_atomic = access == Access::kAtomic && word.atomic;
    if (written && word.writer != thread && !both_atomic) race("two writes");
    if (read && word.reader != thread) race("write and read");
    word.writer = written && word.writer != thread ? kMany : thread;
    word.written_at = epoch;
    word.atomic = access == Access::kAtomic;
    word.ever_written = true;
  }

  std::vector<char> storage_;
  char* first_ = nullptr;
  size_t bytes_ = 0;
  std::vector<Word> words_;
};

}  // namespace emulation
