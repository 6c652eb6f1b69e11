import EventSourcing
import Foundation
import Mongo
import ServiceLifecycle
import Synchronization

/// Where work runs that nobody waits for.
enum Background {
  static let niceness = 10

  /// A service whose tasks run on threads that give way to all others: read models, which can be
  /// caught up with at any time.
  struct Hosted: Service {
    let service: any Service

    func run() async throws {
      try await WorkPriority.$isBackground.withValue(true) {
        try await withTaskExecutorPreference(BackgroundExecutor.shared) {
          try await service.run()
        }
      }
    }
  }

  /// A service that carries out what was accepted, sagas and reactors: on the threads of requests,
  /// with a line of their own at the appender. Orders that are begun are worth as much as new ones.
  struct Carrying: Service {
    let service: any Service

    func run() async throws {
      try await WorkPriority.$isBackground.withValue(true) { try await service.run() }
    }
  }
}

/// As many threads as there are processors, all of them nice.
private final class BackgroundExecutor: TaskExecutor {
  static let shared = BackgroundExecutor(threads: ProcessInfo.processInfo.activeProcessorCount)

  private struct Jobs {
    var queued: [UnownedJob] = []
    var taken = 0

    mutating func next() -> UnownedJob? {
      guard taken < queued.count else { return nil }
      taken += 1
      let job = queued[taken - 1]
      if taken == queued.count || taken > 1024, taken * 2 > queued.count {
        queued.removeFirst(taken)
        taken = 0
      }
      return job
    }
  }

  private let jobs = Mutex(Jobs())
  private let wake = DispatchSemaphore(value: 0)

  private init(threads: Int) {
    for number in 1...max(1, threads) {
      let thread = Thread { [self] in
        ThreadPriority.lower(to: Background.niceness)
        while true {
          wake.wait()
          let job = jobs.withLock { $0.next() }
          job?.runSynchronously(on: asUnownedTaskExecutor())
        }
      }
      thread.name = "background-\(number)"
      thread.start()
    }
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.withLock { $0.queued.append(job) }
    wake.signal()
  }
}
