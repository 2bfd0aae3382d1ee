#include <bpf/bpf.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>

#include "cli/tool/elements.hpp"
#include "cli/tool/files.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

constexpr size_t kOutputMin = 65536;  // bytes: a program may make its packet longer

struct Request {
  std::string data_in;
  std::string data_out;
  std::string ctx_in;
  std::string ctx_out;
  uint64_t data_size_out = 0;
  uint64_t ctx_size_out = 0;
  uint64_t repeat = 1;
};

Result<Request> take_request(Words& words) {
  struct File {
    const char* word;
    std::string Request::*value;
  };
  struct Number {
    const char* word;
    uint64_t Request::*value;
  };
  // The longer of two names with one beginning first: "data_s" is no data_in.
  constexpr File kFiles[] = {{"data_in", &Request::data_in},
                             {"data_out", &Request::data_out},
                             {"ctx_in", &Request::ctx_in},
                             {"ctx_out", &Request::ctx_out}};
  constexpr Number kNumbers[] = {{"data_size_out", &Request::data_size_out},
                                 {"ctx_size_out", &Request::ctx_size_out},
                                 {"repeat", &Request::repeat}};
  Request request;
  while (!words.empty()) {
    bool known = false;
    for (const File& file : kFiles) {
      if (!words.accept(file.word)) continue;
      auto value = words.take_path(file.word);
      if (!value) return fail(std::move(value.error()));
      request.*file.value = std::move(*value);
      known = true;
      break;
    }
    for (const Number& number : kNumbers) {
      if (known || !words.accept(number.word)) continue;
      const auto value = words.take_number(number.word);
      if (!value) return fail(value.error());
      request.*number.value = *value;
      known = true;
      break;
    }
    if (!known) return fail(words.done().error());
  }
  if (request.data_in.empty() && request.ctx_in.empty()) return usage("data_in FILE is missing");
  return request;
}

// Two bytes a group, eight groups a line, and what of it is text.
void print_hexdump(std::span<const uint8_t> bytes) {
  for (size_t at = 0; at < bytes.size(); at += 16) {
    std::printf("%07zx\t", at);
    const auto line = bytes.subspan(at, std::min<size_t>(16, bytes.size() - at));
    for (size_t i = 0; i < 16; i++) {
      if (i < line.size()) {
        std::printf("%02x", line[i]);
      } else {
        std::printf("  ");
      }
      if (i % 2 == 1) std::printf(" ");
    }
    std::printf("| ");
    for (size_t i = 0; i < line.size(); i++) {
      std::printf("%s%c", i == 8 ? " " : "", line[i] >= 0x20 && line[i] < 0x7f ? line[i] : '.');
    }
    std::printf("\n");
  }
}

Status put_output(Context& context, const char* name, const std::string& path,
                  std::span<const uint8_t> bytes) {
  if (path.empty()) return {};
  if (path != "-") return write_file(path, bytes);
  if (context.plain()) return print_hexdump(bytes), Status{};
  context.json.key(name);
  context.json.begin_array();
  for (const uint8_t byte : bytes) context.json.number(byte);
  context.json.end_array();
  return {};
}

}  // namespace

Status prog_run(Context& context, Words& words) {
  const auto fd = take_object(words, Kind::prog);
  if (!fd) return fail(fd.error());
  const auto request = take_request(words);
  if (!request) return fail(request.error());
  std::string data;
  std::string ctx;
  for (auto [path, bytes] : {std::pair{&request->data_in, &data}, {&request->ctx_in, &ctx}}) {
    if (path->empty()) continue;
    auto read = read_input(*path);
    if (!read) return fail(std::move(read.error()));
    *bytes = std::move(*read);
  }
  Bytes data_out(request->data_out.empty()     ? 0
                 : request->data_size_out != 0 ? request->data_size_out
                                               : std::max(kOutputMin, data.size() + 256));
  Bytes ctx_out(request->ctx_out.empty()     ? 0
                : request->ctx_size_out != 0 ? request->ctx_size_out
                                             : std::max<size_t>(4096, ctx.size()));
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = data.empty() ? nullptr : data.data(),
              .data_out = data_out.empty() ? nullptr : data_out.data(),
              .data_size_in = static_cast<uint32_t>(data.size()),
              .data_size_out = static_cast<uint32_t>(data_out.size()),
              .ctx_in = ctx.empty() ? nullptr : ctx.data(),
              .ctx_out = ctx_out.empty() ? nullptr : ctx_out.data(),
              .ctx_size_in = static_cast<uint32_t>(ctx.size()),
              .ctx_size_out = static_cast<uint32_t>(ctx_out.size()),
              .repeat = static_cast<int>(request->repeat));
  if (::bpf_prog_test_run_opts(fd->get(), &options) != 0) {
    const int code = errno;
    Error error = errno_error(code, "run");
    if (code == ENOSPC) error.text += ": the output does not fit; give data_size_out";
    if (code == EINVAL && data.size() < 14)
      error.text += ": a packet begins with its Ethernet header, 14 bytes at least";
    return fail(std::move(error));
  }
  if (!context.plain()) context.json.begin_object();
  const std::span<const uint8_t> data_made(
      data_out.data(), std::min<size_t>(data_out.size(), options.data_size_out));
  const std::span<const uint8_t> ctx_made(ctx_out.data(),
                                          std::min<size_t>(ctx_out.size(), options.ctx_size_out));
  if (auto status = put_output(context, "data_out", request->data_out, data_made); !status)
    return status;
  if (auto status = put_output(context, "ctx_out", request->ctx_out, ctx_made); !status)
    return status;
  if (context.plain()) {
    std::printf("Return value: %u, duration%s: %uns\n", options.retval,
                request->repeat > 1 ? " (average)" : "", options.duration);
    return {};
  }
  context.json.member("retval", options.retval);
  context.json.member("duration", options.duration);
  context.json.end_object();
  return {};
}

}  // namespace sluice::cli
