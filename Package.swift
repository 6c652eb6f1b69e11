// swift-tools-version:6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .treatAllWarnings(as: .error),
]

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(
  name: "ServiceLifecycle", package: "swift-service-lifecycle")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let httpClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let arguments: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "magasin",
  products: [
    .executable(name: "magasin", targets: ["Magasin"]),
    .library(name: "EventSourcing", targets: ["EventSourcing"]),
    .library(name: "EventSourcingMongo", targets: ["EventSourcingMongo"]),
    .library(name: "EventSourcingTesting", targets: ["EventSourcingTesting"]),
  ],
  dependencies: [
    .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
  ],
  targets: [
    .systemLibrary(
      name: "CMongoC", pkgConfig: "libmongoc-1.0",
      providers: [.apt(["libmongoc-dev", "libbson-dev"])]),
    .systemLibrary(
      name: "CJemalloc", pkgConfig: "jemalloc", providers: [.apt(["libjemalloc-dev"])]),
    .target(name: "Mongo", dependencies: ["CMongoC", logging], swiftSettings: settings),
    .target(
      name: "EventSourcing", dependencies: [crypto, logging, lifecycle], swiftSettings: settings),
    .target(
      name: "EventSourcingMongo",
      dependencies: ["EventSourcing", "Mongo", crypto, logging, lifecycle, metrics],
      swiftSettings: settings),
    .target(
      name: "EventSourcingTesting", dependencies: ["EventSourcing"], swiftSettings: settings),
    .target(name: "Commerce", dependencies: ["EventSourcing"], swiftSettings: settings),
    .target(
      name: "Sagas", dependencies: ["EventSourcing", "Commerce", logging], swiftSettings: settings),
    .target(
      name: "Projections", dependencies: ["EventSourcing", "Commerce"], path: "projections",
      exclude: [
        "README.md", "Choreographies/README.md", "Orders/README.md", "Sagas/README.md",
        "Statistics/README.md", "Stock/README.md", "UserSummaries/README.md",
      ], swiftSettings: settings),
    .target(
      name: "API",
      dependencies: [
        "EventSourcing", "Commerce", "Projections", "Sagas", hummingbird, lifecycle, logging,
        metrics,
      ], swiftSettings: settings),
    .target(
      name: "PaymentProvider",
      dependencies: ["EventSourcing", "Mongo", hummingbird, lifecycle, logging],
      swiftSettings: settings),
    .target(
      name: "PaymentClient",
      dependencies: [
        "Commerce", "EventSourcing", "Sagas", httpClient, lifecycle,
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ], swiftSettings: settings),
    .executableTarget(
      name: "Magasin",
      dependencies: [
        "API", "CJemalloc", "Commerce", "EventSourcing", "EventSourcingMongo", "Mongo",
        "PaymentClient", "PaymentProvider", "Projections", "Sagas", arguments, httpClient,
        hummingbird, lifecycle,
        logging, metrics,
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ], resources: [.embedInCode("openapi.yaml")], swiftSettings: settings),
    .testTarget(
      name: "EventSourcingTests",
      dependencies: ["EventSourcing", "EventSourcingTesting", logging],
      swiftSettings: settings),
    .target(
      name: "MongoTesting", dependencies: ["EventSourcingMongo", "Mongo"],
      path: "Tests/MongoTesting", swiftSettings: settings),
    .testTarget(
      name: "MongoTests", dependencies: ["Mongo", "MongoTesting"], swiftSettings: settings),
    .testTarget(
      name: "EventSourcingMongoTests",
      dependencies: [
        "EventSourcing", "EventSourcingMongo", "EventSourcingTesting", "Mongo", "MongoTesting",
        logging,
      ],
      swiftSettings: settings),
    .testTarget(
      name: "CommerceTests", dependencies: ["Commerce", "EventSourcingTesting"],
      exclude: ["RecordedEvents"], swiftSettings: settings),
    .testTarget(
      name: "SagasTests", dependencies: ["Sagas", "Commerce", "EventSourcingTesting"],
      exclude: ["RecordedEvents"], swiftSettings: settings),
    .testTarget(
      name: "ProjectionsTests", dependencies: ["Projections", "Commerce", "EventSourcingTesting"],
      swiftSettings: settings),
    .target(name: "SimulationRuntime", path: "Tests/SimulationRuntime"),
    .executableTarget(
      name: "simulate",
      dependencies: [
        "Commerce", "EventSourcing", "Projections", "Sagas", "SimulationRuntime", logging,
      ], path: "Tests/Simulation", exclude: ["README.md", "mutations"], swiftSettings: settings),
    .testTarget(
      name: "APITests",
      dependencies: [
        "API", "EventSourcingTesting", .product(name: "HummingbirdTesting", package: "hummingbird"),
      ], swiftSettings: settings),
    .testTarget(
      name: "PaymentProviderTests",
      dependencies: [
        "PaymentProvider", "MongoTesting",
        .product(name: "HummingbirdTesting", package: "hummingbird"),
      ], swiftSettings: settings),
    .testTarget(
      name: "PaymentClientTests",
      dependencies: [
        "PaymentClient", "PaymentProvider",
        .product(name: "HummingbirdTesting", package: "hummingbird"),
      ], swiftSettings: settings),
  ]
)
