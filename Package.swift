// swift-tools-version: 6.0
import PackageDescription

// Where the compiled library comes from: built here by scripts/build-ios.sh, or a release, whose address and checksum are
// written here when it is made.
let released: (url: String, checksum: String)? = nil

#if os(Linux)
    // Tests run on Linux against target/phone/static/libshelfsight_ffi.a: scripts/test-swift.sh
    let library = Target.systemLibrary(name: "ShelfSightFFI", path: "bindings/swift/Sources/ShelfSightFFI")
#else
    let library =
        released.map { Target.binaryTarget(name: "ShelfSightFFI", url: $0.url, checksum: $0.checksum) }
        ?? Target.binaryTarget(name: "ShelfSightFFI", path: "target/phone/ShelfSightFFI.xcframework")
#endif

let package = Package(
    name: "ShelfSight",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "ShelfSight", targets: ["ShelfSight"]),
        .library(name: "ShelfSightCameraCore", targets: ["ShelfSightCameraCore"]),
    ],
    targets: [
        library,
        // Written by the generator; not API.
        .target(
            name: "ShelfSightBridge", dependencies: ["ShelfSightFFI"], path: "bindings/swift/Sources/ShelfSightBridge",
            swiftSettings: [.swiftLanguageMode(.v5)]),
        .target(
            name: "ShelfSight", dependencies: ["ShelfSightBridge"], path: "bindings/swift/Sources/ShelfSight",
            resources: [.copy("PrivacyInfo.xcprivacy")]),
        // The camera app without its screens, so that it is tested on any machine.
        .target(name: "ShelfSightCameraCore", dependencies: ["ShelfSight"], path: "ios/CameraCore"),
        .testTarget(
            name: "ShelfSightTests", dependencies: ["ShelfSight", "ShelfSightBridge"],
            path: "bindings/swift/Tests/ShelfSightTests"),
        .testTarget(
            name: "ShelfSightCameraCoreTests", dependencies: ["ShelfSightCameraCore"], path: "ios/CameraCoreTests"),
    ]
)
