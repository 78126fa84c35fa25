import ShelfSight
import ShelfSightCameraCore
import SwiftUI

@main
struct ShelfSightCameraApp: App {
    @StateObject private var model = AppModel()

    var body: some Scene {
        WindowGroup {
            CameraScreen().environmentObject(model).preferredColorScheme(.dark).tint(.mint)
                .task { await model.run() }
        }
    }
}

/// The shop's state, for screens.
@MainActor
final class AppModel: ObservableObject {
    @Published private(set) var state = Shop.State.opening
    /// Work that goes on while screens come and go.
    @Published private(set) var importing = Chore<PackInfo>.State.none
    @Published private(set) var measuring = Chore<String>.State.none
    let shop = Shop(folder: .applicationSupportDirectory.appending(path: "ShelfSight"))
    let imports = Chore<PackInfo>()
    let benchmarks = Chore<String>()

    var engine: Engine? {
        if case .open(let engine) = state { return engine }
        return nil
    }

    /// One line when there is nothing to search.
    var trouble: String? {
        switch state {
        case .opening: return "Opening the pack…"
        case .none: return "No pack yet: import a .shelf file."
        case .refused(let reason): return "Refused: \(reason)"
        case .open: return nil
        }
    }

    func run() async {
        let shop = shop
        async let started: Void = shop.start(sample: Bundle.main.url(forResource: "demo", withExtension: "shelf"))
        // These live as long as the app does.
        Task { for await next in await imports.states() { importing = next } }
        Task { for await next in await benchmarks.states() { measuring = next } }
        for await next in await shop.states() { state = next }
        await started
    }

    /// Brings in a pack that the user picked; iOS lends it for as long as this has it open.
    func bringIn(_ url: URL) async {
        let shop = shop
        await imports.start {
            let scoped = url.startAccessingSecurityScopedResource()
            let steps = shop.bringIn(url)
            return AsyncThrowingStream { relay in
                let task = Task {
                    defer { if scoped { url.stopAccessingSecurityScopedResource() } }
                    do {
                        for try await step in steps { relay.yield(step) }
                        relay.finish()
                    } catch {
                        relay.finish(throwing: error)
                    }
                }
                relay.onTermination = { _ in task.cancel() }
            }
        }
    }

    func benchmark() async {
        guard let engine else { return }
        let probes = (Bundle.main.urls(forResourcesWithExtension: "jpg", subdirectory: "probes") ?? []).compactMap { url in
            (try? Data(contentsOf: url)).map { (photo: $0, ids: Set([url.deletingPathExtension().lastPathComponent])) }
        }
        let shelf = Bundle.main.url(forResource: "shelf", withExtension: "jpg").flatMap { try? Data(contentsOf: $0) }
        let device = UIDevice.current
        let facts = ["manufacturer": "Apple", "model": device.model, "ios": device.systemVersion]
        await benchmarks.start { engine.benchmark(probes: probes, shelf: shelf, facts: facts) }
    }
}
