package app.shelfsight

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class FindTest {
    @Test
    fun `photos find what the command finds, score by score`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            for (photo in Demo.photos.take(6)) {
                val want = Demo.answer(photo.nameWithoutExtension).getAsJsonArray("results").map { it.asJsonObject }
                val found = engine.find(Frame.photo(photo.readBytes()))
                assertEquals(want.map { it["id"].asString }, found.matches.map { it.product.id }, photo.name)
                for ((a, b) in want.zip(found.matches)) assertEquals(a["score"].asDouble, b.score.toDouble(), 6e-5)
                assertTrue(found.milliseconds.keys.containsAll(listOf("encode", "search", "fuse")))
            }
        }
    }

    @Test
    fun `words find what the command finds`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            val want = Demo.answer("words").getAsJsonArray("results").map { it.asJsonObject["id"].asString }
            assertEquals(want, engine.find("sweet chili chips").matches.map { it.product.id })
            val product = engine.find("sweet chili chips").best!!.product
            assertEquals(product.id, engine.find(product.gtin!!).best!!.product.id)
            assertTrue(engine.find(product.gtin!!).best!!.evidence.barcode)
            assertTrue(product.attributes.isNotEmpty() && product.title.isNotEmpty() && product.brand != null)
        }
    }

    @Test
    fun `filters narrow inside the search`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            assertTrue(engine.info.categories.size > 1 && engine.info.brands.size > 2)
            val (first, second) = engine.info.categories
            val one = engine.find("red", FindOptions(filters = filters { category eq second.uppercase() }))
            assertTrue(one.matches.isNotEmpty() && one.matches.all { it.product.category == second })
            val two = engine.find("red", FindOptions(top = 50, filters = filters { category anyOf listOf(first, second) }))
            assertEquals(setOf(first, second), two.matches.map { it.product.category }.toSet())
            val both = filters {
                category eq first
                attribute("colour") eq "red"
            }
            val narrow = engine.find("a", FindOptions(top = 50, filters = both)).matches
            assertTrue(narrow.all { it.product.category == first && it.product.attributes["colour"] == "red" })
            assertEquals(emptyList<Match>(), engine.find("a", FindOptions(filters = filters { id eq "no|such" })).matches)
            assertEquals("category is $first and attr.colour is red", both.toString())
        }
    }

    @Test
    fun `planes of every layout show the same picture`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            val image = Demo.image(Demo.photos[0])
            val options = FindOptions(top = 5, barcodes = false)
            suspend fun ids(frame: Frame) = frame.use { engine.find(it, options = options) }.matches.map { it.product.id to it.score }
            val rgba = ids(Demo.rgbaFrame(image))
            assertEquals(engine.find(Frame.photo(Demo.photos[0].readBytes()), options = options).best!!.product.id, rgba.first().first)
            assertEquals(rgba, ids(Demo.rgbaFrame(image, padding = 64)))
            assertEquals(rgba, ids(Demo.rgbaFrame(image, padding = 13)))
            // Another order of rows and columns rounds differently, by a level here and there.
            assertEquals(rgba.first().first, ids(Demo.rgbaFrame(Demo.lying(image), rotation = 90)).first().first)
            val yuv = ids(Demo.yuv(image).frame())
            assertEquals(rgba.first().first, yuv.first().first)
            assertEquals(yuv, ids(Demo.yuv(image, padding = 32).frame()))
            assertEquals(yuv, ids(Demo.yuv(image, padding = 7, step = 2).frame()))
            // A plane that begins inside its buffer.
            val (buffer, row) = Demo.rgba(image)
            val shifted = java.nio.ByteBuffer.allocateDirect(buffer.capacity() + 5)
            shifted.position(5).put(buffer).position(5)
            assertEquals(rgba, ids(Frame.rgb(image.width, image.height, Plane(shifted, row, 4))))
        }
    }

    @Test
    fun `looks and words together`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            val frame = Frame.photo(Demo.photos[0].readBytes())
            val both = engine.find(frame, "chips", FindOptions(barcodes = false)).best!!
            assertTrue(both.evidence.looks != null && both.evidence.words != null)
            val region = engine.find(frame, options = FindOptions(region = Area(0f, 0f, 100f, 100f), barcodes = false))
            assertNotEquals(both.score, region.best!!.score)
        }
    }

    @Test
    fun `a shelf is scanned as the command scans it`() = runBlocking<Unit> {
        Demo.withEngine { engine ->
            val want = Demo.answer("shelf").getAsJsonArray("items").map { it.asJsonObject }
            val scan = engine.scan(Frame.photo(Demo.shelf.readBytes()))
            assertEquals(want.size, scan.items.size)
            assertTrue(want.size > 20)
            for ((a, b) in want.zip(scan.items)) {
                val box = a.getAsJsonArray("box").map { it.asFloat }
                assertEquals(box[0], b.area.x, 0.1f)
                assertEquals(box[3], b.area.height, 0.1f)
                val ids = a.getAsJsonArray("results").map { it.asJsonObject["id"].asString }
                assertEquals(ids, b.matches.map { it.product.id })
                assertEquals(null, b.track)
            }
        }
    }

    @Test
    fun `many coroutines and two engines give one answer`() = runBlocking<Unit> {
        val photos = Demo.photos.take(4).map { Demo.smaller(Demo.image(it), 300) }
        val options = FindOptions(top = 3, barcodes = false)
        Demo.withEngine { engine ->
            val alone = photos.map { engine.find(Demo.rgbaFrame(it), options = options).matches }
            Engine.open(Demo.pack, EngineOptions(threads = 2)).use { second ->
                val together = (0 until 48).map { i ->
                    async(Dispatchers.Default) {
                        val asked = if (i % 3 == 0) second else engine
                        i % 4 to asked.find(Demo.rgbaFrame(photos[i % 4]), options = options).matches
                    }
                }.awaitAll()
                for ((photo, matches) in together) assertEquals(alone[photo], matches)
            }
        }
    }
}
