// What a session was made of, kept so that it can be made again.
#pragma once

#include <map>

#include "engine.h"

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#endif

namespace sada {

// The model's bytes, and descriptors of its own of the files that its weights lie in, so that a file that is put in their place is not read
// instead. (On Windows they are read by their paths.)
class KeptModel {
 public:
  explicit KeptModel(SessionOptions options) : options_(std::move(options)) {
#ifndef _WIN32
    for (ExternalTensor& tensor : options_.weights) {
      const auto [own, is_new] = descriptors_.try_emplace(tensor.descriptor, -1);
      if (is_new) own->second = fcntl(tensor.descriptor, F_DUPFD_CLOEXEC, 0);
      tensor.descriptor = own->second;
    }
#endif
  }
  ~KeptModel() {
#ifndef _WIN32
    for (const auto& [given, own] : descriptors_) {
      if (own >= 0) close(own);
    }
#endif
  }
  KeptModel(const KeptModel&) = delete;
  KeptModel& operator=(const KeptModel&) = delete;

  const SessionOptions& options() const { return options_; }

 private:
  SessionOptions options_;
  std::map<int, int> descriptors_;  // those that were given: ours
};

}  // namespace sada
