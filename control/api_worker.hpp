// A thread that answers the requests which take long, one after another. `submit` and `take_done`
// by the socket's thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "control/api_call.hpp"

namespace sluice::control {

class ApiWorker {
 public:
  struct Done {
    uint64_t connection;
    ApiReply reply;
  };

  using Answer = std::function<ApiReply(ApiRequest, const std::atomic<bool>* cancelled)>;

  // `answer` runs on the thread. `wake`, an eventfd, is written whenever an answer is ready.
  ApiWorker(Answer answer, int wake);
  ~ApiWorker();  // cancels and waits for the request that is being answered; the rest is dropped
  ApiWorker(const ApiWorker&) = delete;
  ApiWorker& operator=(const ApiWorker&) = delete;

  void submit(uint64_t connection, ApiRequest request);
  // Drops the connection's request if it waits, cancels it if it is being answered.
  void cancel(uint64_t connection);
  // Bytes of the requests that wait or are being answered.
  [[nodiscard]] size_t held_bytes();
  [[nodiscard]] std::vector<Done> take_done();

 private:
  struct Job {
    uint64_t connection;
    ApiRequest request;
  };
  void run();

  const Answer answer_;
  const int wake_;
  std::mutex lock_;  // of what follows
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<Done> done_;
  size_t held_bytes_ = 0;
  bool stopping_ = false;
  uint64_t answering_ = 0;  // the connection
  std::atomic<bool> cancelled_{false};
  std::thread thread_;
};

}  // namespace sluice::control
