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
    let shop = Shop(folder: .documentsDirectory)

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
        for await next in await shop.states() { state = next }
        await started
    }
}
