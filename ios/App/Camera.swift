@preconcurrency import AVFoundation
import ShelfSight

/// The back camera: a stream of frames, and a session for the preview. Knows nothing of products.
final class Camera: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate, @unchecked Sendable {
    enum Refusal: Error {
        case notAllowed, noCamera
    }

    let session = AVCaptureSession()
    private let queue = DispatchQueue(label: "app.shelfsight.camera")
    private let output = AVCaptureVideoDataOutput()
    // Only touched on `queue`.
    private var stream: AsyncStream<Frame>.Continuation?
    private var streams = 0

    /// Frames from the camera, the newest only, for as long as they are iterated.
    func frames() async throws -> AsyncStream<Frame> {
        guard await AVCaptureDevice.requestAccess(for: .video) else { throw Refusal.notAllowed }
        try queue.sync { try configure() }
        return AsyncStream(bufferingPolicy: .bufferingNewest(1)) { stream in
            queue.async {
                self.streams += 1
                let number = self.streams
                self.stream = stream
                self.session.startRunning()
                // One that ends after the next began must not stop the camera for it.
                stream.onTermination = { _ in
                    self.queue.async { if self.streams == number { self.session.stopRunning() } }
                }
            }
        }
    }

    private func configure() throws {
        guard session.inputs.isEmpty else { return }
        guard let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back) else {
            throw Refusal.noCamera
        }
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        session.sessionPreset = .hd1280x720
        session.addInput(try AVCaptureDeviceInput(device: device))
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_420YpCbCr8BiPlanarFullRange
        ]
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: queue)
        session.addOutput(output)
    }

    func captureOutput(_: AVCaptureOutput, didOutput sample: CMSampleBuffer, from _: AVCaptureConnection) {
        // The sensor lies on its side in a phone held upright.
        guard let buffer = sample.imageBuffer, let frame = try? Frame.pixelBuffer(buffer, rotation: 90) else { return }
        stream?.yield(frame)
    }
}
