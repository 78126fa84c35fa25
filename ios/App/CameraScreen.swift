@preconcurrency import AVFoundation
import ShelfSight
import ShelfSightCameraCore
import SwiftUI

/// The shelf, with a box on every product: from the camera, or from the picture that comes with the app.
struct CameraScreen: View {
    @EnvironmentObject private var model: AppModel
    @State private var camera = Camera()
    @State private var result: ScanResult?
    @State private var message: String?
    @State private var category: String?
    @State private var useSample = false
    /// The camera was refused, and iOS does not ask again.
    @State private var refused = false
    @State private var chosen: Item?

    /// Whatever starts the work anew when it changes.
    private struct Look: Equatable {
        let engine: ObjectIdentifier?
        let category: String?
        let useSample: Bool
    }

    var body: some View {
        NavigationStack {
            ZStack(alignment: .bottom) {
                picture.ignoresSafeArea()
                boxes.ignoresSafeArea()
                bar
            }
            .task(id: Look(engine: model.engine.map(ObjectIdentifier.init), category: category, useSample: useSample)) {
                await look()
            }
            .sheet(item: $chosen) { item in
                if let best = item.best { ProductScreen(match: best, others: Array(item.matches.dropFirst())) }
            }
        }
    }

    @ViewBuilder private var picture: some View {
        if useSample {
            if let image = UIImage(named: "shelf.jpg") { Image(uiImage: image).resizable().scaledToFill() }
        } else {
            Preview(session: camera.session)
        }
    }

    private var boxes: some View {
        GeometryReader { space in
            if let result {
                let placement = BoxPlacement(result, width: Float(space.size.width), height: Float(space.size.height))
                ForEach(placement.boxes) { BoxView(box: $0) }
                    .contentShape(Rectangle())
                Color.clear.contentShape(Rectangle())
                    .onTapGesture { chosen = placement.box(atX: Float($0.x), y: Float($0.y))?.item }
            }
        }
    }

    private var bar: some View {
        VStack(alignment: .leading) {
            Text(model.trouble ?? message ?? status).font(.footnote).foregroundStyle(.secondary)
            if refused, !useSample, let settings = URL(string: UIApplication.openSettingsURLString) {
                Link("Open Settings", destination: settings)
            }
            HStack {
                NavigationLink("Search") { SearchScreen() }
                Menu("Filter") {
                    Button("All categories") { category = nil }
                    ForEach(model.engine?.info.categories ?? [], id: \.self) { name in
                        Button(name) { category = name }
                    }
                }
                NavigationLink("Pack") { PackScreen() }
                NavigationLink("Benchmark") { BenchmarkScreen() }
                Spacer()
                Button(useSample ? "Camera" : "Sample") { useSample.toggle() }
            }
            .buttonStyle(.bordered)
        }
        .padding().background(.thinMaterial)
    }

    private var status: String {
        guard let result else { return "" }
        let effort =
            switch result.effort {
            case .unchanged: "unchanged"
            case .moved: "tracked"
            case .detected: "detected"
            }
        let milliseconds = result.times.map(\.milliseconds).reduce(0, +)
        return "\(result.items.count) products · \(effort) · \(Int(milliseconds)) ms"
    }

    private func look() async {
        guard let engine = model.engine else { return }
        (result, message, refused) = (nil, nil, false)
        let options = ScanOptions(filters: category.map { [.category($0)] } ?? [])
        do {
            for try await next in engine.scan(frames: try await frames(), options: options) {
                engine.heat(Heat(ProcessInfo.processInfo.thermalState))
                result = next
            }
        } catch Camera.Refusal.notAllowed {
            message = "The camera was refused. Allow it in Settings, or look at the sample."
            refused = true
        } catch Camera.Refusal.noCamera {
            useSample = true
        } catch is CancellationError {
        } catch ShelfSightError.engineClosed {
            // Another pack is being opened: it will be looked with.
        } catch {
            message = Shop.reason(error)
        }
    }

    private func frames() async throws -> AsyncStream<Frame> {
        guard useSample else { return try await camera.frames() }
        guard let image = UIImage(named: "shelf.jpg")?.cgImage else { throw Camera.Refusal.noCamera }
        let frame = try Frame.image(image)
        return AsyncStream { stream in
            let task = Task {
                while !Task.isCancelled {
                    stream.yield(frame)
                    try? await Task.sleep(for: .milliseconds(250))
                }
            }
            stream.onTermination = { _ in task.cancel() }
        }
    }
}

extension Item: @retroactive Identifiable {
    public var id: Area { area }
}

private struct BoxView: View {
    let box: BoxPlacement.Box

    private var colour: Color {
        switch Certainty(box.item.best) {
        case .sure: .mint
        case .doubtful: .orange
        case .unknown: .gray
        }
    }

    var body: some View {
        RoundedRectangle(cornerRadius: 4).stroke(colour, lineWidth: 2)
            .overlay(alignment: .bottom) {
                if Certainty(box.item.best) == .sure, let title = box.item.best?.product.title {
                    Text(title).font(.caption2).lineLimit(1).padding(2).background(.black.opacity(0.6))
                }
            }
            .frame(width: CGFloat(box.area.width), height: CGFloat(box.area.height))
            .position(
                x: CGFloat(box.area.x + box.area.width / 2), y: CGFloat(box.area.y + box.area.height / 2)
            )
            .accessibilityLabel(box.item.best?.product.title ?? "Unknown product")
    }
}

/// AVFoundation's preview layer.
private struct Preview: UIViewRepresentable {
    let session: AVCaptureSession

    final class LayerView: UIView {
        override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }
    }

    func makeUIView(context: Context) -> LayerView {
        let view = LayerView()
        if let layer = view.layer as? AVCaptureVideoPreviewLayer {
            layer.session = session
            layer.videoGravity = .resizeAspectFill
        }
        return view
    }

    func updateUIView(_: LayerView, context: Context) {}
}
