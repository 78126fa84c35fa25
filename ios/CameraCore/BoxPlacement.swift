import ShelfSight

/// Where boxes lie on a screen whose picture fills it and is cut at two sides, as camera previews are.
public struct BoxPlacement: Sendable {
    public struct Box: Sendable, Identifiable {
        public let id: Int
        public let item: Item
        public let area: Area
    }

    public let boxes: [Box]

    public init(_ result: ScanResult, width: Float, height: Float) {
        guard result.width > 0, result.height > 0, width > 0, height > 0 else {
            boxes = []
            return
        }
        let (pictureWidth, pictureHeight) = (Float(result.width), Float(result.height))
        let scale = max(width / pictureWidth, height / pictureHeight)
        let left = (width - pictureWidth * scale) / 2
        let top = (height - pictureHeight * scale) / 2
        boxes = result.items.enumerated().map { index, item in
            let area = Area(
                x: left + item.area.x * scale, y: top + item.area.y * scale, width: item.area.width * scale,
                height: item.area.height * scale)
            return Box(id: item.track.map(Int.init) ?? -1 - index, item: item, area: area)
        }
    }

    /// The smallest box at a point, which is the one meant.
    public func box(atX x: Float, y: Float) -> Box? {
        boxes.filter {
            x >= $0.area.x && x <= $0.area.x + $0.area.width && y >= $0.area.y && y <= $0.area.y + $0.area.height
        }.min { $0.area.width * $0.area.height < $1.area.width * $1.area.height }
    }
}

/// What a box says: a name if it is likely enough.
public enum Certainty: Sendable, Equatable {
    case sure, doubtful, unknown

    public init(_ match: Match?) {
        guard let match else {
            self = .unknown
            return
        }
        self = match.score >= 0.5 ? .sure : .doubtful
    }
}
