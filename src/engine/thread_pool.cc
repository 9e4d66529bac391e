// SPDX-License-Identifier: Apache-2.0
#include <penstock/async.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace penstock::detail {

struct thread_pool::impl {
  const unsigned most;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> work;  // guarded by mutex
  std::vector<std::thread> threads;        // guarded by mutex
  unsigned waiting = 0;                    // guarded by mutex
  bool closed = false;                     // guarded by mutex

  explicit impl(unsigned n) : most(std::max(1u, n)) {}

  void loop() {
    std::unique_lock lock(mutex);
    for (;;) {
      ++waiting;
      changed.wait(lock, [this] { return closed || !work.empty(); });
      --waiting;
      if (closed) return;
      const std::function<void()> next = std::move(work.front());
      work.pop_front();
      lock.unlock();
      next();
      lock.lock();
    }
  }
};

thread_pool::thread_pool(unsigned threads) : impl_(std::make_unique<impl>(threads)) {}

thread_pool::~thread_pool() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->closed = true;
  }
  impl_->changed.notify_all();
  for (std::thread& t : impl_->threads) t.join();
}

void thread_pool::run(std::function<void()> work) {
  const std::lock_guard lock(impl_->mutex);
  impl_->work.push_back(std::move(work));
  if (impl_->waiting < impl_->work.size() && impl_->threads.size() < impl_->most)
    impl_->threads.emplace_back([p = impl_.get()] { p->loop(); });
  impl_->changed.notify_one();
}

}  // namespace penstock::detail
