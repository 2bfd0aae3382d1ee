#include "tests/bench/map_tables.hpp"

#include <linux/bpf.h>

#include <algorithm>
#include <cstring>
#include <random>

namespace sluice::bench {
namespace {

constexpr uint32_t kRingMost = 1u << 20;  // keys that take part, hits and as many misses

// map_loop.bpf.c's struct state.
struct State {
  uint32_t first, mask, at, op, ahead;
};

std::string thousands(uint32_t count) {
  return count >= 1u << 20 ? std::to_string(count >> 20) + " M"
                           : std::to_string(count >> 10) + " K";
}

}  // namespace

Keys::Keys(const Shape& shape, bool prefixes)
    : size_(shape.key_size), bytes_(size_t{shape.entries} * 2 * shape.key_size) {
  std::mt19937_64 random(11);
  const uint32_t count = shape.entries * 2;
  for (uint32_t i = 0; i < count; i++) {
    uint8_t* key = at(i);
    for (uint32_t j = 0; j < size_; j++) key[j] = static_cast<uint8_t>(random());
    const uint32_t number = i * 2654435761u;  // odd, so that it is a permutation
    std::memcpy(key, &number, 4);
    if (prefixes) make_prefix(key, number);
  }
}

// A route table's lengths: mostly /24, some shorter, some host routes.
void Keys::make_prefix(uint8_t* key, uint32_t number) {
  const uint32_t length = number % 16 == 0 ? 32 : number % 5 == 0 ? 16 + number % 8 : 24;
  const uint32_t address = __builtin_bswap32(length == 32 ? number : number & ~0u << (32 - length));
  std::memcpy(key, &length, 4);
  std::memcpy(key + 4, &address, 4);
}

Tables::Tables(Bench& bench, const Shape& shape)
    : bench_(bench),
      shape_(shape),
      name_(std::string(shape.name) + " of " + thousands(shape.entries) + ", " +
            std::to_string(shape.key_size) + "-byte keys"),
      prefixes_(std::strstr(shape.type, "LPM") != nullptr),
      keys_(shape, prefixes_),
      half_(std::min(kRingMost, shape.entries)),
      object_(object("map_loop.bpf.c", prefixes_ ? " -DLPM" : "")) {}

std::string Tables::object(const std::string& source, const std::string& flags) {
  const std::string shape =
      std::string("-DMAP_TYPE=") + shape_.type + " -DKEY_SIZE=" + std::to_string(shape_.key_size) +
      " -DENTRIES=" + std::to_string(shape_.entries) + " -DSTEP=" + std::to_string(kStep) +
      " -DBATCHES=" + std::to_string(2 * half_ / kStep);
  auto object = bench_.workshop.bpf_object("tests/bench/programs/" + source, shape + flags);
  if (!object) give_up(object.error().text);
  return *object;
}

std::string Tables::burst_object(const std::string& flags) {
  return object("map_burst.bpf.c", flags);
}

bool Tables::load(const char* kind) {
  auto loaded = bpf::load_object(bench_.surface, {"map", object_, ""});
  if (!loaded)
    return report_missing(kind, name_,
                          loaded.error().text.substr(0, loaded.error().text.find('\n'))),
           false;
  loaded_ = std::move(*loaded);
  for (uint32_t i = 0; i < 32; i++) packets_.push_back(&packet_);
  auto runner = Runner::make(loaded_.program, bpf::kLinearLayout, packets_);
  if (!runner) return report_missing(kind, name_, runner.error().text), false;
  runner_ = std::move(*runner);
  if (shape_.hash) rte_ = RteHash::make(shape_.entries, shape_.key_size, &rte_why_);
  auto peer = make_linux_peer(object_, "map_loop", BPF_PROG_TYPE_SCHED_CLS);
  if (peer) linux_ = std::move(*peer);
  if (!peer) linux_why_ = peer.error().text;
  for (uint32_t batch = 0; batch < 2 * half_ / kStep; batch++) {
    check(loaded_.maps.at("ring")->update(&batch, ring(batch * kStep), BPF_ANY));
    if (linux_ != nullptr) check(linux_->update("ring", &batch, ring(batch * kStep)));
  }
  return true;
}

void Tables::fill() {
  const uint64_t one = 1;
  for (uint32_t i = 0; i < shape_.entries; i++)
    check(loaded_.maps.at("table")->update(keys_.at(i), &one, BPF_ANY));
  if (rte_ != nullptr) rte_->insert(keys_.at(0), shape_.entries);
  const std::vector<uint64_t> ones(shape_.entries, 1);
  if (linux_ != nullptr)
    check(linux_->update_batch("table", keys_.at(0), ones.data(), shape_.entries));
}

void Tables::set(uint32_t first, uint32_t count, Op op, uint32_t ahead) {
  const State state{first, count - 1, 0, op, ahead};
  const uint32_t zero = 0;
  check(loaded_.maps.at("states")->update(&zero, &state, BPF_ANY));
  if (linux_ != nullptr) check(linux_->update("states", &zero, &state));
}

uint64_t Tables::run_sluice(uint32_t runs) {
  uint64_t sum = 0;
  for (uint32_t done = 0; done < runs; done += 32) {
    runner_->run(verdicts_);
    for (uint32_t i = 0; i < 32; i++) sum += verdicts_[i];
  }
  return sum;
}

double Tables::run_linux(uint32_t runs, uint32_t* retval) {
  auto run = linux_->run({frame_, sizeof frame_}, runs);
  if (!run) give_up(run.error().text);
  if (retval != nullptr) *retval = run->retval;
  return run->ns / kStep;
}

void Tables::run_all(uint32_t first, uint32_t count, Op op, uint32_t runs) {
  set(first, count, op);
  (void)run_sluice(runs);
  if (linux_ != nullptr) (void)run_linux(runs);
}

std::vector<std::string> Tables::absent() const {
  std::vector<std::string> reasons;
  if (rte_ == nullptr)
    reasons.push_back("rte_hash: " + (shape_.hash ? rte_why_ : std::string("has no such table")));
  if (linux_ == nullptr) reasons.push_back("linux: " + linux_why_);
  return reasons;
}

void Tables::check(int error) {
  if (error != 0) give_up(std::string("map: ") + std::strerror(-error));
}
void Tables::check(const Status& status) {
  if (!status) give_up("map: " + status.error().text);
}

uint8_t* Tables::ring(uint32_t i) {
  return i < half_ ? keys_.at(i) : keys_.at(shape_.entries + i - half_);
}

}  // namespace sluice::bench
