import Dispatch
import Foundation
import Synchronization

/// A serial executor with a thread of its own: what may block, or must not wait for a turn among
/// others, runs here and never on Swift's cooperative pool. The thread ends when the executor is
/// gone.
package final class ThreadExecutor: SerialExecutor {
  private enum Work {
    case job(UnownedJob, UnownedSerialExecutor)
    case call(@Sendable () -> Void)
  }

  private final class Queue: Sendable {
    struct State {
      var work: [Work] = []
      var isStopped = false
      var thread: pthread_t?
    }

    let state = Mutex(State())
    let wake = DispatchSemaphore(value: 0)

    func add(_ work: Work) {
      let isFirst = state.withLock { state in
        state.work.append(work)
        return state.work.count == 1
      }
      if isFirst { wake.signal() }
    }

    func run() {
      state.withLock { $0.thread = pthread_self() }
      while true {
        wake.wait()
        let (work, isStopped) = state.withLock { state in
          let work = state.work
          state.work = []
          return (work, state.isStopped)
        }
        for one in work {
          switch one {
          case .job(let job, let executor): job.runSynchronously(on: executor)
          case .call(let call): call()
          }
        }
        if isStopped { return }
      }
    }
  }

  private let queue = Queue()

  package init(name: String) {
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

  package func enqueue(_ job: consuming ExecutorJob) {
    queue.add(.job(UnownedJob(job), asUnownedSerialExecutor()))
  }

  /// Runs `body` on the thread, in turn with the jobs: for who is in no task.
  package func call(_ body: @escaping @Sendable () -> Void) { queue.add(.call(body)) }

  package func checkIsolated() {
    precondition(
      queue.state.withLock(\.thread) == pthread_self(), "not on the executor's own thread")
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    UnownedSerialExecutor(ordinary: self)
  }
}
