import ShelfSight
import ShelfSightCameraCore
import SwiftUI
import UniformTypeIdentifiers

/// All that the pack knows of a product, and what it was nearly taken for.
struct ProductScreen: View {
    let match: Match
    let others: [Match]

    var body: some View {
        List {
            Section {
                Text(match.product.title).font(.title2.bold())
                Text(match.evidence.barcode ? "Named by its barcode" : "\(Int(match.score * 100)) % sure")
                    .foregroundStyle(.tint)
                if let details = match.product.details { Text(details) }
            }
            Section {
                fact("Brand", match.product.brand)
                fact("Category", match.product.category)
                fact("GTIN", match.product.gtin)
                ForEach(match.product.attributes, id: \.self) { fact($0.name, $0.value) }
            }
            if !others.isEmpty {
                Section("It may also be") { ForEach(others, id: \.self) { MatchRow(match: $0) } }
            }
        }
    }

    @ViewBuilder private func fact(_ name: String, _ value: String?) -> some View {
        if let value { LabeledContent(name, value: value) }
    }
}

private struct MatchRow: View {
    let match: Match

    var body: some View {
        VStack(alignment: .leading) {
            Text(match.product.title).bold()
            let facts = [match.product.brand, match.product.category, "\(Int(match.score * 100)) % sure"]
            Text(facts.compactMap { $0 }.joined(separator: " · ")).font(.footnote).foregroundStyle(.secondary)
        }
    }
}

/// Products by words, narrowed by category and brand.
struct SearchScreen: View {
    @EnvironmentObject private var model: AppModel
    @State private var query = WordSearch.Query()
    @State private var outcome = WordSearch.Outcome.nothingAsked
    @State private var inlet: AsyncStream<WordSearch.Query>.Continuation?

    var body: some View {
        List {
            Section {
                chooser("Category", "All categories", model.engine?.info.categories ?? [], $query.category)
                chooser("Brand", "All brands", model.engine?.info.brands ?? [], $query.brand)
            }
            switch outcome {
            case .nothingAsked: EmptyView()
            case .unknownWords: Text("The pack knows none of these words.")
            case .refused(let reason): Text("Refused: \(reason)")
            case .found(let matches) where matches.isEmpty: Text("Nothing like it in this pack.")
            case .found(let matches):
                ForEach(matches, id: \.self) { match in
                    NavigationLink { ProductScreen(match: match, others: []) } label: { MatchRow(match: match) }
                }
            }
        }
        .searchable(text: $query.words, prompt: "Name, brand, words or GTIN")
        .navigationTitle("Search")
        .onChange(of: query) { inlet?.yield($0) }
        .task(id: model.engine.map(ObjectIdentifier.init)) {
            guard let engine = model.engine else { return }
            let (queries, inlet) = AsyncStream.makeStream(of: WordSearch.Query.self)
            self.inlet = inlet
            inlet.yield(query)
            for await next in WordSearch(engine: engine).outcomes(of: queries) { outcome = next }
        }
    }

    private func chooser(_ title: String, _ all: String, _ names: [String], _ choice: Binding<String?>) -> some View {
        Picker(title, selection: choice) {
            Text(all).tag(String?.none)
            ForEach(names, id: \.self) { Text($0).tag(Optional($0)) }
        }
    }
}

/// What is in the pack, its licences, and another one from a file: no network.
struct PackScreen: View {
    @EnvironmentObject private var model: AppModel
    @State private var picking = false

    var body: some View {
        List {
            Section {
                if let info = model.engine?.info {
                    LabeledContent("Products", value: "\(info.products)")
                    LabeledContent("Size", value: "\(info.bytes / 1_000_000) MB")
                }
                importing
            }
            Section("Licences") {
                ForEach(model.engine?.info.licences ?? [], id: \.self) { licence in
                    Text("\(licence.what): \(licence.licence)\n\(licence.attribution)").font(.footnote)
                }
            }
        }
        .navigationTitle("Pack")
        .fileImporter(isPresented: $picking, allowedContentTypes: [.data]) { picked in
            if case .success(let url) = picked { Task { await model.bringIn(url) } }
        }
    }

    @ViewBuilder private var importing: some View {
        if case .running(let fraction) = model.importing {
            ProgressView(value: fraction) { Text("Importing: \(Int(fraction * 100)) %") }
            Button("Cancel") { Task { await model.imports.cancel() } }
        } else {
            Button("Import a pack…") { picking = true }
        }
        if case .refused(let reason) = model.importing { Text("Refused: \(reason)") }
        if case .done(let info) = model.importing { Text("Imported: \(info.products) products.") }
    }
}

/// Latency, memory and recall on this device, to look at and to share.
struct BenchmarkScreen: View {
    @EnvironmentObject private var model: AppModel

    var body: some View {
        List {
            switch model.measuring {
            case .none:
                Text("Speed, memory and recall of this device with this pack. The report holds no picture.")
                    .font(.footnote).foregroundStyle(.secondary)
                run
            case .running(let fraction):
                ProgressView(value: fraction)
                Button("Cancel") { Task { await model.benchmarks.cancel() } }
            case .refused(let reason):
                Text("Refused: \(reason)")
                run
            case .done(let report):
                run
                ShareLink("Share report", item: report)
                if let table = try? BenchmarkTable(json: report) {
                    ForEach(table.rows) { row in LabeledContent(row.name, value: "\(row.first) / \(row.second)") }
                    if table.throttled { Text("The device was throttled: let it cool and run again.") }
                }
            }
        }
        .navigationTitle("Benchmark")
    }

    private var run: some View {
        Button("Run") { Task { await model.benchmark() } }.disabled(model.engine == nil)
    }
}
