package app.shelfsight

import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.awt.image.BufferedImage
import java.io.File
import java.nio.ByteBuffer
import javax.imageio.ImageIO

/** What `shelfsight demo` drew, and what the command said about it. */
object Demo {
    private val folder = File(checkNotNull(System.getProperty("shelfsight.demo")) { "run scripts/test-kotlin.sh" })
    val pack = File(folder, "demo.shelf")
    val shelf = File(folder, "shelf.jpg")
    val photos: List<File> = checkNotNull(File(folder, "photos").listFiles()).sorted()

    /** The pictures of a product that the pack was built with. */
    fun pictures(id: String): List<File> =
        checkNotNull(File(folder, "catalogue").listFiles { file -> file.name.startsWith("$id-") }).sorted()

    /** The command's answer to a photo, a text or the shelf. */
    fun answer(name: String): JsonObject =
        JsonParser.parseString(File(folder, "answers/$name.json").readText()).asJsonObject

    suspend fun <T> withEngine(options: EngineOptions = EngineOptions(), block: suspend (Engine) -> T): T =
        Engine.open(pack, options).use { block(it) }

    fun image(file: File): BufferedImage = ImageIO.read(file)

    /** As a camera would give it, `padding` bytes after each row and `step` bytes a colour sample. */
    class Yuv(val width: Int, val height: Int, padding: Int = 0, private val step: Int = 1) {
        val rowY = width + padding
        val rowC = (width + 1) / 2 * step + padding
        val y: ByteBuffer = ByteBuffer.allocateDirect(rowY * height)
        val u: ByteBuffer = ByteBuffer.allocateDirect(rowC * ((height + 1) / 2))
        val v: ByteBuffer = ByteBuffer.allocateDirect(rowC * ((height + 1) / 2))

        fun fill(colour: (Int, Int) -> Int) = apply {
            for (row in 0 until height) for (column in 0 until width) {
                val (r, g, b) = colour(column, row).let { Triple(it shr 16 and 255, it shr 8 and 255, it and 255) }
                y.put(row * rowY + column, clamp(0.299 * r + 0.587 * g + 0.114 * b))
                if (row % 2 == 0 && column % 2 == 0) {
                    val at = row / 2 * rowC + column / 2 * step
                    u.put(at, clamp(128 - 0.168736 * r - 0.331264 * g + 0.5 * b))
                    v.put(at, clamp(128 + 0.5 * r - 0.418688 * g - 0.081312 * b))
                }
            }
        }

        fun frame(rotation: Int = 0, onClose: (() -> Unit)? = null) = Frame.yuv420(
            width, height, Plane(y, rowY, 1), Plane(u, rowC, step), Plane(v, rowC, step), rotation, onClose,
        )

        private fun clamp(value: Double) = Math.round(value).coerceIn(0, 255).toByte()
    }

    fun yuv(image: BufferedImage, padding: Int = 0, step: Int = 1) =
        Yuv(image.width, image.height, padding, step).fill(image::getRGB)

    fun rgba(image: BufferedImage, padding: Int = 0): Pair<ByteBuffer, Int> {
        val row = image.width * 4 + padding
        val buffer = ByteBuffer.allocateDirect(row * image.height)
        for (y in 0 until image.height) for (x in 0 until image.width) {
            val rgb = image.getRGB(x, y)
            val at = y * row + x * 4
            buffer.put(at, (rgb shr 16).toByte()).put(at + 1, (rgb shr 8).toByte()).put(at + 2, rgb.toByte())
        }
        return buffer to row
    }

    fun rgbaFrame(image: BufferedImage, padding: Int = 0, rotation: Int = 0): Frame =
        rgba(image, padding).let { (buffer, row) -> Frame.rgb(image.width, image.height, Plane(buffer, row, 4), rotation) }

    fun smaller(image: BufferedImage, width: Int): BufferedImage {
        val height = image.height * width / image.width
        val small = BufferedImage(width, height, BufferedImage.TYPE_INT_RGB)
        small.createGraphics().run {
            drawImage(image.getScaledInstance(width, height, java.awt.Image.SCALE_AREA_AVERAGING), 0, 0, null)
            dispose()
        }
        return small
    }

    /** Turned by 90° against the clock, as a phone's sensor sees what is held upright. */
    fun lying(image: BufferedImage): BufferedImage {
        val turned = BufferedImage(image.height, image.width, BufferedImage.TYPE_INT_RGB)
        for (y in 0 until image.height) for (x in 0 until image.width) {
            turned.setRGB(y, image.width - 1 - x, image.getRGB(x, y))
        }
        return turned
    }

    /** Bytes of this process that are in memory. */
    fun resident(): Long = File("/proc/self/statm").readText().split(' ')[1].toLong() * 4096
}
