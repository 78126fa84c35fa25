internal import ShelfSightBridge

/// The error an app sees for what the generated code throws.
func translated<Result>(_ work: () throws -> Result) throws -> Result {
    do {
        return try work()
    } catch let failure as Failure {
        switch failure {
        case .PackNotFound(let reason): throw ShelfSightError.packNotFound(reason: reason)
        case .PackDamaged(let reason): throw ShelfSightError.packDamaged(reason: reason)
        case .PackUnsupported(let reason): throw ShelfSightError.packUnsupported(reason: reason)
        case .Frame(let reason): throw ShelfSightError.frame(reason: reason)
        case .Photo(let reason): throw ShelfSightError.photo(reason: reason)
        case .Query(let reason): throw ShelfSightError.query(reason: reason)
        case .UnknownWords(let reason): throw ShelfSightError.unknownWords(reason: reason)
        case .Model(let reason): throw ShelfSightError.model(reason: reason)
        case .Memory(let needed, let inUse, let allowed, let reason):
            throw ShelfSightError.memoryCeiling(needed: needed, inUse: inUse, allowed: allowed, reason: reason)
        case .Product(let reason): throw ShelfSightError.product(reason: reason)
        case .Duplicate(let reason): throw ShelfSightError.duplicateProduct(reason: reason)
        case .NoSuchProduct(let reason): throw ShelfSightError.noSuchProduct(reason: reason)
        case .Storage(let reason): throw ShelfSightError.storage(reason: reason)
        case .InUse(let reason): throw ShelfSightError.packInUse(reason: reason)
        case .Replaced(let reason): throw ShelfSightError.packReplaced(reason: reason)
        case .Closed: throw ShelfSightError.engineClosed
        case .Cancelled: throw CancellationError()
        case .Internal(let reason): throw ShelfSightError.libraryFault(reason: reason)
        }
    } catch let error as ShelfSightError {
        throw error
    } catch is CancellationError {
        throw CancellationError()
    } catch {
        throw ShelfSightError.libraryFault(reason: "a fault in the library; the query was given up")
    }
}

extension ShelfSightBridge.Area {
    init(_ area: Area) {
        self.init(x: area.x, y: area.y, width: area.width, height: area.height)
    }
}

extension Product {
    init(_ record: ProductRecord) {
        let some = { (text: String) in text.isEmpty ? nil : text }
        self.init(
            id: record.id, title: record.title, brand: some(record.brand), category: some(record.category),
            gtin: some(record.gtin), details: some(record.description),
            attributes: record.attributes.map { Attribute(name: $0.name, value: $0.value) })
    }
}

extension ProductRecord {
    init(_ product: Product) {
        self.init(
            id: product.id, title: product.title, brand: product.brand ?? "", category: product.category ?? "",
            gtin: product.gtin ?? "", description: product.details ?? "",
            attributes: product.attributes.map { Attribute(name: $0.name, value: $0.value) })
    }
}

extension Match {
    init(_ record: MatchRecord) {
        self.init(
            product: Product(record.product), score: record.score,
            evidence: Evidence(looks: record.looks, words: record.words, barcode: record.barcode))
    }
}

extension Item {
    init(_ record: ItemRecord) {
        let area = record.area
        self.init(
            area: Area(x: area.x, y: area.y, width: area.width, height: area.height), detection: record.detection,
            track: record.track == 0 ? nil : record.track, matches: record.matches.map { Match($0) })
    }
}

extension StageTime {
    init(_ time: ShelfSightBridge.StageTime) {
        self.init(stage: time.stage, milliseconds: time.ms)
    }
}

extension FindResult {
    init(_ reply: Reply) throws {
        guard case .found(let matches, let barcodes, let times) = reply else {
            throw ShelfSightError.libraryFault(reason: "the library answered a find with something else")
        }
        self.init(matches: matches.map { Match($0) }, barcodes: barcodes, times: times.map { StageTime($0) })
    }
}

extension ScanResult {
    init(_ reply: Reply) throws {
        guard case .scanned(let items, let barcodes, let times, let effort, let width, let height) = reply else {
            throw ShelfSightError.libraryFault(reason: "the library answered a scan with something else")
        }
        let done: Effort
        switch effort {
        case .unchanged: done = .unchanged
        case .moved: done = .moved
        case .detected: done = .detected
        }
        self.init(
            items: items.map { Item($0) }, barcodes: barcodes, effort: done, width: Int(width), height: Int(height),
            times: times.map { StageTime($0) })
    }
}

extension PackInfo {
    init(_ summary: PackSummary) {
        self.init(
            products: Int(summary.products), bytes: summary.bytes, format: Int(summary.format),
            created: summary.created, generator: summary.generator, findsPictures: summary.findsPictures,
            findsWords: summary.findsWords, scans: summary.scans,
            licences: summary.licences.map {
                Licence(what: $0.what, licence: $0.licence, attribution: $0.attribution)
            },
            categories: summary.categories, brands: summary.brands)
    }
}
