#include "pass_graphs.h"

#include <algorithm>

namespace sada {
namespace {

// Of the run itself, recorded or not.
bool ends_run(const Error& error) { return error.code() == std::string("DEVICE_LOST") || error.code() == std::string("ABORTED"); }

}  // namespace

PassGraphs::~PassGraphs() {
  for (auto& [key, entry] : entries_) gpu_.release(entry.graph);
}

bool PassGraphs::run(const std::function<std::string()>& key, const std::function<void()>& enqueue) {
  const auto known = entries_.find(key());
  if (known == entries_.end()) {
    enqueue();
    make_room();
    entries_[key()].used = ++runs_;
    return false;
  }
  Entry& entry = known->second;
  entry.used = ++runs_;
  if (entry.graph != nullptr && launch(entry)) return true;
  enqueue();
  if (entry.graph == nullptr && !entry.failed) record(entry, enqueue);
  return false;
}

void PassGraphs::note(const std::string& failure) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failure.empty()) report_.captured += 1;
  else if (report_.failure.empty()) report_.failure = failure;
}

GraphReport PassGraphs::report() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return report_;
}

void PassGraphs::record(Entry& entry, const std::function<void()>& enqueue) {
  try {
    entry.generation = gpu_.generation();
    entry.graph = gpu_.capture(enqueue);
    note("");
  } catch (const Error& error) {
    if (ends_run(error)) throw;
    fail(entry, error.what());
  }
}

bool PassGraphs::launch(Entry& entry) {
  try {
    if (!gpu_.launch_of(entry.generation, entry.graph)) return false;
    const std::lock_guard<std::mutex> lock(mutex_);
    report_.launched += 1;
    return true;
  } catch (const Error& error) {
    if (ends_run(error)) throw;
    gpu_.release(entry.graph);
    entry.graph = nullptr;
    fail(entry, error.what());
    return false;
  }
}

void PassGraphs::fail(Entry& entry, const std::string& what) {
  entry.failed = true;
  note(what);
}

void PassGraphs::make_room() {
  if (entries_.size() < kMostKept) return;
  const auto oldest =
      std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
  gpu_.release(oldest->second.graph);
  entries_.erase(oldest);
}

}  // namespace sada
