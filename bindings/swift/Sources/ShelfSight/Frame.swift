import Foundation
internal import ShelfSightBridge

/// A plane of samples: sample (x, y) starts at byte `y * bytesPerRow + x * bytesPerPixel`.
public struct Plane: @unchecked Sendable {
    /// Must stay valid and unchanged for as long as the frame's owner lives.
    public let bytes: UnsafeRawBufferPointer
    public let bytesPerRow: Int
    public let bytesPerPixel: Int

    public init(bytes: UnsafeRawBufferPointer, bytesPerRow: Int, bytesPerPixel: Int) {
        self.bytes = bytes
        self.bytesPerRow = bytesPerRow
        self.bytesPerPixel = bytesPerPixel
    }
}

/// A picture: borrowed pixels, never copied before the resize. It keeps their owner alive until the last query that was
/// given it has returned.
///
/// A frame that is no picture (short planes, strides too small, a rotation of 45°) is refused by the query with
/// ``ShelfSightError/frame(reason:)``.
public final class Frame: @unchecked Sendable {
    // Immutable, and the owner is only held, never used: safe to hand to any thread.
    let layout: FrameLayout
    let planes: [Data]
    private let owner: AnyObject?
    private let onRelease: (@Sendable () -> Void)?

    private init(
        _ format: PixelFormat, width: Int, height: Int, planes: [Plane], rotation: Int, owner: AnyObject?,
        onRelease: (@Sendable () -> Void)?
    ) {
        layout = FrameLayout(
            format: format, width: Int32(clamping: width), height: Int32(clamping: height),
            rotation: Int32(clamping: rotation),
            planes: planes.map {
                PlaneLayout(rowStride: Int32(clamping: $0.bytesPerRow), pixelStride: Int32(clamping: $0.bytesPerPixel))
            })
        self.planes = planes.map { plane in
            guard let base = plane.bytes.baseAddress, plane.bytes.count > 0 else { return Data() }
            return Data(
                bytesNoCopy: UnsafeMutableRawPointer(mutating: base), count: plane.bytes.count, deallocator: .none)
        }
        self.owner = owner
        self.onRelease = onRelease
    }

    private init(file: Data) {
        layout = FrameLayout(format: .photo, width: 0, height: 0, rotation: 0, planes: [])
        planes = [file]
        owner = nil
        onRelease = nil
    }

    deinit { onRelease?() }

    /// Y, and interleaved U and V at half size: the camera's `420YpCbCr8BiPlanarFullRange`.
    ///
    /// - Parameters:
    ///   - rotation: clockwise degrees that make the picture upright: 0, 90, 180 or 270.
    ///   - owner: whatever keeps the planes' memory alive.
    ///   - onRelease: called when the frame is no longer needed.
    public static func nv12(
        width: Int, height: Int, y: Plane, uv: Plane, rotation: Int = 0, owner: AnyObject? = nil,
        onRelease: (@Sendable () -> Void)? = nil
    ) -> Frame {
        Frame(
            .nv12, width: width, height: height, planes: [y, uv], rotation: rotation, owner: owner,
            onRelease: onRelease)
    }

    /// Three planes Y, U, V, colour at half size, full-range BT.601.
    public static func yuv420(
        width: Int, height: Int, y: Plane, u: Plane, v: Plane, rotation: Int = 0, owner: AnyObject? = nil,
        onRelease: (@Sendable () -> Void)? = nil
    ) -> Frame {
        Frame(
            .yuv420, width: width, height: height, planes: [y, u, v], rotation: rotation, owner: owner,
            onRelease: onRelease)
    }

    /// Red, green, blue bytes, and a fourth that is ignored where `bytesPerPixel` is 4.
    public static func rgb(
        width: Int, height: Int, pixels: Plane, rotation: Int = 0, owner: AnyObject? = nil,
        onRelease: (@Sendable () -> Void)? = nil
    ) -> Frame {
        Frame(
            .rgb, width: width, height: height, planes: [pixels], rotation: rotation, owner: owner,
            onRelease: onRelease)
    }

    /// Blue, green, red bytes, and a fourth that is ignored where `bytesPerPixel` is 4: the camera's `32BGRA`.
    public static func bgr(
        width: Int, height: Int, pixels: Plane, rotation: Int = 0, owner: AnyObject? = nil,
        onRelease: (@Sendable () -> Void)? = nil
    ) -> Frame {
        Frame(
            .bgr, width: width, height: height, planes: [pixels], rotation: rotation, owner: owner,
            onRelease: onRelease)
    }

    /// One byte of grey a pixel.
    public static func gray(
        width: Int, height: Int, pixels: Plane, rotation: Int = 0, owner: AnyObject? = nil,
        onRelease: (@Sendable () -> Void)? = nil
    ) -> Frame {
        Frame(
            .gray, width: width, height: height, planes: [pixels], rotation: rotation, owner: owner,
            onRelease: onRelease)
    }

    /// A JPEG, PNG or WebP file, turned upright as its EXIF orientation says; decoded by each query anew.
    public static func photo(_ file: Data) -> Frame { Frame(file: file) }

    func plane(_ index: Int) -> Data { index < planes.count ? planes[index] : Data() }
}
