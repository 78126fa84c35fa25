// What needs Apple's frameworks. Nothing here decides anything: it says where pixels lie.
#if canImport(CoreVideo)
    import CoreVideo
    import Foundation

    extension Frame {
        /// A camera's buffer where it lies: `420YpCbCr8BiPlanarFullRange` or `32BGRA`; other formats are refused. The
        /// buffer stays locked for reading until the frame is released.
        ///
        /// - Parameter rotation: clockwise degrees that make the picture upright.
        public static func pixelBuffer(_ buffer: CVPixelBuffer, rotation: Int = 0) throws -> Frame {
            guard CVPixelBufferLockBaseAddress(buffer, .readOnly) == kCVReturnSuccess else {
                throw ShelfSightError.frame(reason: "the pixel buffer cannot be locked")
            }
            let held = Locked(buffer: buffer)
            let width = CVPixelBufferGetWidth(buffer)
            let height = CVPixelBufferGetHeight(buffer)
            switch CVPixelBufferGetPixelFormatType(buffer) {
            case kCVPixelFormatType_420YpCbCr8BiPlanarFullRange:
                return .nv12(
                    width: width, height: height, y: try held.plane(0, bytesPerPixel: 1),
                    uv: try held.plane(1, bytesPerPixel: 2), rotation: rotation, owner: held)
            case kCVPixelFormatType_32BGRA:
                guard let base = CVPixelBufferGetBaseAddress(buffer) else { throw held.noMemory }
                let row = CVPixelBufferGetBytesPerRow(buffer)
                let pixels = Plane(
                    bytes: UnsafeRawBufferPointer(start: base, count: row * height), bytesPerRow: row, bytesPerPixel: 4)
                return .bgr(width: width, height: height, pixels: pixels, rotation: rotation, owner: held)
            default:
                throw ShelfSightError.frame(
                    reason: "ask the camera for 420YpCbCr8BiPlanarFullRange or 32BGRA pixel buffers")
            }
        }

        private final class Locked {
            let buffer: CVPixelBuffer
            let noMemory = ShelfSightError.frame(reason: "the pixel buffer has no memory of its own")

            init(buffer: CVPixelBuffer) { self.buffer = buffer }

            func plane(_ index: Int, bytesPerPixel: Int) throws -> Plane {
                guard let base = CVPixelBufferGetBaseAddressOfPlane(buffer, index) else { throw noMemory }
                let row = CVPixelBufferGetBytesPerRowOfPlane(buffer, index)
                let count = row * CVPixelBufferGetHeightOfPlane(buffer, index)
                return Plane(
                    bytes: UnsafeRawBufferPointer(start: base, count: count), bytesPerRow: row,
                    bytesPerPixel: bytesPerPixel)
            }

            deinit { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        }
    }
#endif

#if canImport(CoreGraphics)
    import CoreGraphics

    extension Frame {
        /// A picture drawn once into memory of the frame's own, whatever its colour space.
        public static func image(_ image: CGImage) throws -> Frame {
            let (width, height) = (image.width, image.height)
            let row = width * 4
            let drawn = Drawn(count: row * height)
            let layout = CGImageAlphaInfo.noneSkipLast.rawValue
            guard
                let context = CGContext(
                    data: drawn.memory.baseAddress, width: width, height: height, bitsPerComponent: 8, bytesPerRow: row,
                    space: CGColorSpaceCreateDeviceRGB(), bitmapInfo: layout)
            else { throw ShelfSightError.frame(reason: "a picture of \(width)×\(height) pixels cannot be drawn") }
            context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
            let pixels = Plane(bytes: UnsafeRawBufferPointer(drawn.memory), bytesPerRow: row, bytesPerPixel: 4)
            return .rgb(width: width, height: height, pixels: pixels, owner: drawn)
        }

        private final class Drawn {
            let memory: UnsafeMutableRawBufferPointer

            init(count: Int) { memory = .allocate(byteCount: count, alignment: 16) }

            deinit { memory.deallocate() }
        }
    }
#endif

#if canImport(Darwin)
    import Foundation

    extension Heat {
        /// From `ProcessInfo.processInfo.thermalState`.
        public init(_ state: ProcessInfo.ThermalState) {
            switch state {
            case .nominal: self = .nominal
            case .fair: self = .fair
            case .serious: self = .serious
            case .critical: self = .critical
            @unknown default: self = .serious
            }
        }
    }
#endif
