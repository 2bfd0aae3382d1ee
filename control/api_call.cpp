#include "control/api_call.hpp"

#include <sched.h>

#include <algorithm>

#include "bpf/client/frame.hpp"
#include "bpf/client/quick.hpp"
#include "control/remote_process.hpp"

namespace sluice::control {
namespace {

using bpf::wire::FrameType;

// Commands whose result is a descriptor.
constexpr int kOpening[] = {BPF_MAP_CREATE,        BPF_PROG_LOAD,        BPF_OBJ_GET,
                            BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID, BPF_BTF_GET_FD_BY_ID,
                            BPF_LINK_GET_FD_BY_ID, BPF_BTF_LOAD,         BPF_LINK_CREATE,
                            BPF_ENABLE_STATS};

bool is_opening(int cmd) {
  return std::find(std::begin(kOpening), std::end(kOpening), cmd) != std::end(kOpening);
}

// The bytes of the attribute that the handler changed, from the first to the last.
bool write_attr(uint64_t address, std::span<const char> before, const char* after,
                RemoteProcess* process) {
  size_t first = 0;
  size_t end = before.size();
  while (first < end && before[first] == after[first]) first++;
  while (end > first && before[end - 1] == after[end - 1]) end--;
  return process->write(address + first, after + first, end - first) == 0;
}

std::vector<char> need_frame(const std::vector<bpf::wire::Need>& needs) {
  struct {
    uint32_t count, pad;
  } const header{static_cast<uint32_t>(std::min<size_t>(needs.size(), bpf::wire::kNeedsMax)), 0};
  bpf::wire::FrameWriter writer(FrameType::need);
  writer.put(header);
  for (uint32_t i = 0; i < header.count; i++) writer.put(needs[i]);
  return std::move(writer).finish();
}

std::vector<char> result_frame(long value, bool has_descriptor, const RemoteProcess& process) {
  bpf::wire::FrameWriter writer(FrameType::result);
  writer.put(bpf::wire::ResultHeader{value, static_cast<uint32_t>(process.writes().size()),
                                     has_descriptor ? 1u : 0u, ::sched_getcpu(), 0});
  for (const auto& write : process.writes()) {
    writer.put(bpf::wire::Write{write.address, write.bytes.size()});
    writer.put_bytes(write.bytes.data(), write.bytes.size());
  }
  return std::move(writer).finish();
}

ApiReply answer_call(bpf::BpfSurface& surface, bpf::wire::FrameReader& reader, ApiRequest& request,
                     const std::atomic<bool>* cancelled, bool* slow) {
  bpf::wire::CallHeader header;
  std::span<const char> sent;
  RemoteProcess process;
  if (!reader.get(&header) || header.attr_size > bpf::wire::kAttrMax ||
      !reader.get_bytes(header.attr_size, &sent) ||
      !process.take(reader, header.answers, std::move(request.descriptors)) || !reader.at_end()) {
    return {};
  }
  alignas(
      union bpf_attr) char attr[std::max<size_t>(bpf::wire::kAttrMax, sizeof(union bpf_attr))] = {};
  std::copy(sent.begin(), sent.end(), attr);
  const bpf::Caller caller{.uid = request.uid,
                           .gid = request.gid,
                           .failure = nullptr,
                           .process = &process,
                           .cancelled = cancelled,
                           .slow = slow};
  long value =
      surface.bpf(caller, header.cmd, reinterpret_cast<union bpf_attr*>(attr), header.attr_size);
  if (slow != nullptr && *slow) {
    request.descriptors = process.give_back();
    return {};
  }
  UniqueFd descriptor;
  if (value >= 0 && is_opening(header.cmd)) descriptor.reset(static_cast<int>(value));
  if (!process.needs().empty()) return {need_frame(process.needs()), {}};
  if (!write_attr(header.attr_address, sent, attr, &process)) value = -EFAULT;
  if (value < 0) descriptor.reset();
  return {result_frame(descriptor ? 0 : value, static_cast<bool>(descriptor), process),
          std::move(descriptor)};
}

ApiReply answer_query(const ApiQuery& query, bpf::wire::FrameReader& reader,
                      const ApiRequest& request) {
  constexpr size_t kQueryMax = 256;
  bpf::wire::TextHeader header;
  std::span<const char> text;
  if (!reader.get(&header) || header.length > kQueryMax ||
      !reader.get_bytes(header.length, &text) || !reader.at_end() || !request.descriptors.empty()) {
    return {};
  }
  const auto found = query({text.data(), text.size()});
  const std::string& body = found ? *found : found.error().text;
  bpf::wire::FrameWriter writer(FrameType::text);
  const uint32_t code = found ? 0 : static_cast<uint32_t>(found.error().code);
  writer.put(bpf::wire::TextHeader{code, static_cast<uint32_t>(body.size())});
  writer.put_bytes(body.data(), body.size());
  return {std::move(writer).finish(), {}};
}

}  // namespace

ApiNature nature_of(const ApiRequest& request) {
  bpf::wire::FrameReader reader(request.frame);
  bpf::wire::CallHeader header;
  if (reader.type() == FrameType::query) return {.pace = ApiPace::query};
  if (reader.type() != FrameType::call || !reader.get(&header)) return {};
  if (header.cmd == BPF_PROG_TEST_RUN) return {ApiPace::run, header.cpu};
  return {bpf::is_quick(header.cmd) ? ApiPace::quick : ApiPace::load, header.cpu};
}

ApiReply answer(bpf::BpfSurface& surface, const ApiQuery& query, ApiRequest& request,
                const std::atomic<bool>* cancelled, bool* slow) {
  bpf::wire::FrameReader reader(request.frame);
  if (reader.type() == FrameType::call)
    return answer_call(surface, reader, request, cancelled, slow);
  if (reader.type() == FrameType::query) return answer_query(query, reader, request);
  return {};
}

std::vector<char> welcome_frame(const std::string& pin_directory) {
  bpf::wire::FrameWriter writer(FrameType::welcome);
  writer.put(bpf::wire::TextHeader{0, static_cast<uint32_t>(pin_directory.size())});
  writer.put_bytes(pin_directory.data(), pin_directory.size());
  return std::move(writer).finish();
}

}  // namespace sluice::control
