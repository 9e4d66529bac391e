// SPDX-License-Identifier: Apache-2.0
#include "io/background.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace penstock::io {

struct background::shared {
  std::mutex mutex;
  std::condition_variable more;
  std::deque<unique_function<unique_function<void()>()>> queue;
  bool ended = false;  // also read by what was posted, on the loop
  std::thread thread;

  void serve(event_loop& loop, const std::shared_ptr<shared>& self) {
    std::unique_lock lock(mutex);
    while (true) {
      more.wait(lock, [&] { return ended || !queue.empty(); });
      if (ended) return;
      auto work = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      loop.post([self, then = work()]() mutable {
        const bool gone = [&] {
          const std::scoped_lock held(self->mutex);
          return self->ended;
        }();
        if (!gone && then) then();
      });
      work = nullptr;
      lock.lock();
    }
  }
};

background::~background() {
  if (shared_ == nullptr) return;
  {
    const std::scoped_lock lock(shared_->mutex);
    shared_->ended = true;
    shared_->queue.clear();
  }
  shared_->more.notify_one();
  shared_->thread.join();
}

void background::run(unique_function<unique_function<void()>()> work) {
  if (shared_ == nullptr) {
    shared_ = std::make_shared<shared>();
    shared_->thread = std::thread([this, s = shared_.get()] { s->serve(loop_, shared_); });
  }
  {
    const std::scoped_lock lock(shared_->mutex);
    shared_->queue.push_back(std::move(work));
  }
  shared_->more.notify_one();
}

}  // namespace penstock::io
