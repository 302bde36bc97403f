// What a session was made of, kept so that it can be made again.
#pragma once

#include <cstdint>
#include <map>

#include "engine.h"

#ifndef _WIN32
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace sada {

// The model's bytes, and descriptors of its own of the files that its weights lie in, so that a file that is put in their place is not read
// instead.
class KeptModel {
 public:
  explicit KeptModel(SessionOptions options) : options_(std::move(options)) {
#ifndef _WIN32
    for (ExternalTensor& tensor : options_.weights) {
      const auto [own, is_new] = files_.try_emplace(tensor.descriptor);
      if (is_new) own->second = open_again(tensor.descriptor);
      tensor.descriptor = own->second.descriptor;
    }
#endif
  }
  ~KeptModel() {
#ifndef _WIN32
    for (const auto& [given, own] : files_) {
      if (own.descriptor >= 0) close(own.descriptor);
    }
#endif
  }
  KeptModel(const KeptModel&) = delete;
  KeptModel& operator=(const KeptModel&) = delete;

  const SessionOptions& options() const { return options_; }

  // Whether what is made of it again would be the same model. (On Windows weights in other files are read by their paths: then no.)
  bool is_unchanged() const {
#ifdef _WIN32
    return options_.weights.empty();
#else
    for (const auto& [given, own] : files_) {
      const File now = look_at(own.descriptor);
      if (now.size != own.size || now.seconds != own.seconds || now.nanoseconds != own.nanoseconds) return false;
    }
    return true;
#endif
  }

 private:
  SessionOptions options_;
#ifndef _WIN32
  // Of a file: its descriptor, its size and when it was written to.
  struct File {
    int descriptor = -1;
    int64_t size = -1, seconds = 0, nanoseconds = 0;
  };
  static File open_again(int given) { return look_at(fcntl(given, F_DUPFD_CLOEXEC, 0)); }
  static File look_at(int descriptor) {
    struct stat found;
    if (fstat(descriptor, &found) != 0) return {descriptor, -1, 0, 0};
#ifdef __APPLE__
    const timespec written = found.st_mtimespec;
#else
    const timespec written = found.st_mtim;
#endif
    return {descriptor, found.st_size, written.tv_sec, written.tv_nsec};
  }
  std::map<int, File> files_;  // by the descriptors that were given
#endif
};

}  // namespace sada
