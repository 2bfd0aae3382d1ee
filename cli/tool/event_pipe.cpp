// `sluice map event_pipe`: what programs send to user space through a perf event array or a ring
// buffer, as it comes.
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <optional>

#include "cli/tool/elements.hpp"
#include "cli/tool/interrupt.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

constexpr size_t kPerfPages = 16;  // memory of one CPU's buffer
constexpr std::chrono::milliseconds kPoll{20};

void write_bytes(JsonWriter& out, std::span<const uint8_t> bytes) {
  out.key("data");
  out.begin_array();
  for (const uint8_t byte : bytes) out.number(byte);
  out.end_array();
}

// Events of perf_event_open(2), as they lie in memory.
struct PerfSample {
  perf_event_header header;
  uint64_t time;
  uint32_t size;
  uint8_t data[];
};
struct PerfLost {
  perf_event_header header;
  uint64_t id;
  uint64_t lost;
};

// One CPU's buffer, or those of all CPUs at the indices of their numbers.
struct PerfPlace {
  uint32_t cpu;
  uint32_t index;
};
struct PerfReader {
  Context& context;
  std::optional<PerfPlace> place;
};

void show_sample(Context& context, const PerfSample& sample, int cpu, int index) {
  const std::span data(sample.data, sample.size);
  if (context.plain()) {
    constexpr uint64_t kSecond = 1'000'000'000;
    std::printf("== @%llu.%09llu CPU: %d index: %d =====\n%s\n",
                static_cast<unsigned long long>(sample.time / kSecond),
                static_cast<unsigned long long>(sample.time % kSecond), cpu, index,
                hex_text(data).c_str());
    return;
  }
  context.json.begin_object();
  context.json.member("type", sample.header.type);
  context.json.member("cpu", cpu);
  context.json.member("index", index);
  context.json.member("timestamp", uint64_t{sample.time});
  write_bytes(context.json, data);
  context.json.end_object();
}

bpf_perf_event_ret show_event(void* reader_pointer, int cpu, perf_event_header* event) {
  auto& reader = *static_cast<PerfReader*>(reader_pointer);
  const int index = reader.place ? static_cast<int>(reader.place->index) : cpu;
  if (event->type == PERF_RECORD_SAMPLE) {
    show_sample(reader.context, *reinterpret_cast<const PerfSample*>(event), cpu, index);
  } else if (event->type == PERF_RECORD_LOST) {
    std::fprintf(stderr, "sluice: CPU %d: %llu events lost\n", cpu,
                 static_cast<unsigned long long>(reinterpret_cast<const PerfLost*>(event)->lost));
  }
  return LIBBPF_PERF_EVENT_CONT;
}

struct FreePerfBuffer {
  void operator()(perf_buffer* buffer) const { ::perf_buffer__free(buffer); }
};

Status pipe_perf(Context& context, const OpenMap& map, const std::optional<PerfPlace>& place) {
  if (!context.connection.writes_perf_events()) {
    return fail(EOPNOTSUPP, map.title() +
                                ": its perf events reach readers under `sluice exec` alone: "
                                "sluice exec -- bpftool map event_pipe ...");
  }
  perf_event_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.size = sizeof attr;
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_BPF_OUTPUT;
  attr.sample_type = PERF_SAMPLE_RAW | PERF_SAMPLE_TIME;
  attr.sample_period = 1;
  attr.wakeup_events = 1;
  PerfReader reader{context, place};
  int cpu = place ? static_cast<int>(place->cpu) : 0;
  int index = place ? static_cast<int>(place->index) : 0;
  LIBBPF_OPTS(perf_buffer_raw_opts, options, .cpu_cnt = place ? 1 : 0, .cpus = &cpu,
              .map_keys = &index);
  const std::unique_ptr<perf_buffer, FreePerfBuffer> buffer(
      ::perf_buffer__new_raw(map.fd.get(), kPerfPages, &attr, show_event, &reader, &options));
  if (buffer == nullptr) return fail(errno_error(errno, "open its events").in(map.title()));
  while (!interrupted()) {
    const int result = ::perf_buffer__poll(buffer.get(), 200);
    if (result < 0 && result != -EINTR)
      return fail(errno_error(-result, "wait for events").in(map.title()));
    std::fflush(stdout);
  }
  return {};
}

// A ring buffer's pages: the consumer's position, which we write, and behind it what the programs
// write.
class RingReader {
 public:
  static Result<RingReader> open(const OpenMap& map) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    RingReader reader(page, map.info.max_entries);
    reader.consumer_ = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd.get(), 0);
    if (reader.consumer_ != MAP_FAILED) {
      reader.producer_ = ::mmap(nullptr, reader.producer_bytes(), PROT_READ, MAP_SHARED,
                                map.fd.get(), static_cast<off_t>(page));
    }
    if (reader.producer_ == MAP_FAILED)
      return fail(errno_error(errno, "map its memory").in(map.title()));
    return reader;
  }
  RingReader(RingReader&& other) noexcept
      : page_(other.page_),
        size_(other.size_),
        consumer_(std::exchange(other.consumer_, MAP_FAILED)),
        producer_(std::exchange(other.producer_, MAP_FAILED)) {}
  RingReader& operator=(RingReader&&) = delete;
  ~RingReader() {
    if (consumer_ != MAP_FAILED) ::munmap(consumer_, page_);
    if (producer_ != MAP_FAILED) ::munmap(producer_, producer_bytes());
  }

  // Takes the records that are whole.
  template <class Show>
  void take(Show&& show) {
    auto& position = *static_cast<std::atomic<uint64_t>*>(consumer_);
    const auto& end = *static_cast<const std::atomic<uint64_t>*>(producer_);
    uint64_t at = position.load(std::memory_order_relaxed);
    while (at < end.load(std::memory_order_acquire)) {
      const uint8_t* record = static_cast<const uint8_t*>(producer_) + page_ + (at & (size_ - 1));
      const uint32_t head =
          reinterpret_cast<const std::atomic<uint32_t>*>(record)->load(std::memory_order_acquire);
      if ((head & BPF_RINGBUF_BUSY_BIT) != 0) break;
      const uint32_t size = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
      if (size > size_) break;  // no ring of ours says so
      if ((head & BPF_RINGBUF_DISCARD_BIT) == 0) show(std::span(record + BPF_RINGBUF_HDR_SZ, size));
      at += (uint64_t{size} + BPF_RINGBUF_HDR_SZ + 7) & ~uint64_t{7};
      position.store(at, std::memory_order_release);
    }
  }

 private:
  RingReader(size_t page, size_t size) : page_(page), size_(size) {}
  // The data twice, so that a record at the end lies in one piece.
  [[nodiscard]] size_t producer_bytes() const { return page_ + 2 * size_; }

  size_t page_;
  size_t size_;
  void* consumer_ = MAP_FAILED;
  void* producer_ = MAP_FAILED;
};

Status pipe_ring(Context& context, const OpenMap& map) {
  auto reader = RingReader::open(map);
  if (!reader) return fail(std::move(reader.error()));
  size_t looks = 0;
  do {
    // The memory outlives whoever writes to it: now and then it is asked whether anybody is there.
    if (++looks % 50 == 0) {
      if (const auto info = map_info(map.fd.get()); !info)
        return fail(Error(info.error()).in(map.title()));
    }
    reader->take([&](std::span<const uint8_t> record) {
      if (context.plain()) {
        std::printf("== size: %zu =====\n%s\n", record.size(), hex_text(record).c_str());
        return;
      }
      context.json.begin_object();
      context.json.member("size", uint64_t{record.size()});
      write_bytes(context.json, record);
      context.json.end_object();
    });
    std::fflush(stdout);
  } while (pause_for(kPoll));
  return {};
}

Result<std::optional<PerfPlace>> take_place(Words& words) {
  std::optional<uint32_t> cpu;
  std::optional<uint32_t> index;
  while (!words.empty()) {
    const bool is_cpu = words.next_is("cpu");
    if (!is_cpu && !words.next_is("index")) return fail(words.done().error());
    (void)words.take("cpu or index");
    const auto number = words.take_number(is_cpu ? "cpu" : "index", INT32_MAX);
    if (!number) return fail(number.error());
    (is_cpu ? cpu : index) = static_cast<uint32_t>(*number);
  }
  if (cpu.has_value() != index.has_value()) return usage("cpu and index go together");
  if (!cpu) return std::optional<PerfPlace>{};
  return PerfPlace{*cpu, *index};
}

}  // namespace

Status map_event_pipe(Context& context, Words& words) {
  const auto map = take_map(words);
  if (!map) return fail(map.error());
  const auto place = take_place(words);
  if (!place) return fail(place.error());
  const bool ring = map->info.type == BPF_MAP_TYPE_RINGBUF;
  if (!ring && map->info.type != BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
    return fail(EINVAL, map->title() + ": " + with_article(map_type_name(map->info.type)) +
                            " sends no events; a perf_event_array and a ringbuf do");
  }
  if (ring && *place) return usage("a ringbuf is one for all CPUs");
  catch_interrupts();
  if (!context.plain()) context.json.begin_array();
  auto status = ring ? pipe_ring(context, *map) : pipe_perf(context, *map, *place);
  if (!status) return status;
  if (!context.plain()) context.json.end_array();
  return {};
}

}  // namespace sluice::cli
