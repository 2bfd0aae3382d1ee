// Loads each object given into the kernel and prints a line "OBJECT PROGRAM INSNS" for each program
// that it accepts: the instructions its verifier walked. Linked with libbpf as it is, which the
// tests are not.
// Exit status: 0 done, 77 bpf(2) is not permitted here.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdio>

namespace {

void print_counts(const char* path) {
  bpf_object* object = bpf_object__open(path);
  if (object == nullptr || bpf_object__load(object) != 0) return bpf_object__close(object);
  bpf_program* program = nullptr;
  while ((program = bpf_object__next_program(object, program)) != nullptr) {
    bpf_prog_info info{};
    uint32_t size = sizeof info;
    if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) continue;
    std::printf("%s %s %u\n", path, bpf_program__name(program), info.verified_insns);
  }
  bpf_object__close(object);
}

}  // namespace

int main(int argc, char** argv) {
  libbpf_set_print(nullptr);
  uint32_t id = 0;
  if (bpf_map_get_next_id(0, &id) != 0 && errno == EPERM) return 77;
  for (int i = 1; i < argc; i++) print_counts(argv[i]);
}
