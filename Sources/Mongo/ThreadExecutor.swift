import Dispatch
import Foundation
import Synchronization

/// A serial executor with a thread of its own: what may block, or must not wait for a turn among
/// others, runs here and never on Swift's cooperative pool. The thread ends when the executor is
/// gone.
package final class ThreadExecutor: SerialExecutor {
  private enum Work {
    /// With its executor, which must outlive it: the job may let go of the last other owner.
    case job(UnownedJob, ThreadExecutor)
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
          case .job(let job, let executor):
            job.runSynchronously(on: executor.asUnownedSerialExecutor())
          case .call(let call): call()
          }
        }
        if isStopped { return }
      }
    }
  }

  private let queue = Queue()

  /// - Parameter niceness: 0 … 19; the higher, the more the thread gives way to others.
  package init(name: String, niceness: Int = 0) {
    let queue = queue
    let thread = Thread {
      ThreadPriority.lower(to: niceness)
      queue.run()
    }
    thread.name = name
    thread.stackSize = 1 << 20
    thread.start()
  }

  deinit {
    queue.state.withLock { $0.isStopped = true }
    queue.wake.signal()
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    queue.add(.job(UnownedJob(job), self))
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

/// The scheduling priority of threads.
public enum ThreadPriority {
  /// Makes the calling thread give way to others (on Linux niceness is a thread's own, see
  /// sched(7)). Without effect where that is not permitted.
  public static func lower(to niceness: Int) {
    #if os(Linux)
      if niceness > 0 {
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Int32(niceness))
      }
    #endif
  }
}
