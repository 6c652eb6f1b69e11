import CMongoC

/// How the process deals with memory.
public enum ProcessMemory {
  /// Makes malloc keep freed pages for the next use, up to a bound, instead of giving them back to
  /// the kernel at once: batches take and free megabytes many times a second, and each page that
  /// comes back has to be cleared first (mallopt(3)). Few arenas, since many keep much. To be
  /// called once, first thing.
  public static func tune() { magasin_tune_malloc() }
}
