import Dispatch
import Foundation
import Synchronization

/// A serial executor with a thread of its own: what may block runs here, never on Swift's
/// cooperative pool. The thread ends when the executor is gone.
final class ThreadExecutor: SerialExecutor {
  private final class Queue: Sendable {
    struct State {
      var jobs: [(job: UnownedJob, executor: UnownedSerialExecutor)] = []
      var isStopped = false
    }

    let state = Mutex(State())
    let wake = DispatchSemaphore(value: 0)

    func run() {
      while true {
        wake.wait()
        let (jobs, isStopped) = state.withLock { state in
          defer { state.jobs.removeAll(keepingCapacity: true) }
          return (state.jobs, state.isStopped)
        }
        for (job, executor) in jobs { job.runSynchronously(on: executor) }
        if isStopped { return }
      }
    }
  }

  private let queue = Queue()

  init(name: String) {
    let queue = queue
    let thread = Thread { queue.run() }
    thread.name = name
    thread.stackSize = 1 << 20
    thread.start()
  }

  deinit {
    queue.state.withLock { $0.isStopped = true }
    queue.wake.signal()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.state.withLock { $0.jobs.append((job, asUnownedSerialExecutor())) }
    queue.wake.signal()
  }

  func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    UnownedSerialExecutor(ordinary: self)
  }
}
