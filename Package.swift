// swift-tools-version: 6.1
// SPDX-License-Identifier: MIT
//
// The targets and who may import whom (design.md; scripts/check-layers keeps it):
// PikoApp -> PikoControl -> PikoEngine -> CUV -> CWire; PikoCore and CWire import nothing of ours.
// No unsafeFlags here: a package that has them cannot be depended on.

import PackageDescription

let package = Package(
    name: "piko",
    products: [
        .executable(name: "piko", targets: ["PikoApp"]),
        .library(name: "PikoClient", targets: ["PikoClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.0"),
    ],
    targets: [
        .systemLibrary(name: "CLibUV", pkgConfig: "libuv", providers: [.apt(["libuv1-dev"]), .brew(["libuv"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]),
        .target(name: "CWire"),
        .target(name: "CUV", dependencies: ["CWire", "CLibUV", "COpenSSL"]),
        .target(name: "PikoEngine", dependencies: ["CUV", "CWire"]),
        .target(
            name: "PikoCore",
            dependencies: [.product(name: "DequeModule", package: "swift-collections")]
        ),
        .target(
            name: "PikoControl",
            dependencies: [
                "PikoEngine", "PikoCore", "PikoClient",
                .product(name: "JWTKit", package: "jwt-kit"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .target(name: "PikoClient", dependencies: ["PikoEngine", "PikoCore"]),
        .executableTarget(
            name: "PikoApp",
            dependencies: [
                "PikoControl",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                "Yams",
            ]
        ),
        .executableTarget(name: "HeadDump", dependencies: ["PikoCore", "CWire"], path: "Fuzz/HeadDump"),
        .testTarget(name: "CWireTests", dependencies: ["CWire"]),
        .testTarget(name: "PikoEngineTests", dependencies: ["PikoEngine"]),
        .testTarget(name: "PikoCoreTests", dependencies: ["PikoCore"]),
        .testTarget(name: "PikoClientTests", dependencies: ["PikoClient"]),
        .testTarget(name: "PikoControlTests", dependencies: ["PikoControl", .product(name: "JWTKit", package: "jwt-kit")]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11
)
