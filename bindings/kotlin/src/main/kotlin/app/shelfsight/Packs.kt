package app.shelfsight

import app.shelfsight.internal.Bridge
import app.shelfsight.internal.Library
import app.shelfsight.internal.Transfer
import app.shelfsight.internal.packLength
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.flowOn
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.util.Collections

/** Brings packs onto the device. */
public object Packs {
    /** Bytes by which a pack is told from any other file, and its length. */
    private const val HEAD = 64

    /** What a process left that was ended while it imported. */
    private const val STALE_MS = 24L * 3600 * 1000

    /** Names of the files that this process copies into now. */
    private val written = Collections.synchronizedSet(HashSet<String>())

    /**
     * Copies a pack from [source] to [target], checks every byte, and only then puts it in place, in one step: an older
     * pack at [target] stays until then, and engines that have it open keep it. What [Engine.add] added to the older pack
     * goes with it. [source] is called and read in another thread, and closed.
     *
     * Its first bytes say whether it is a pack and how long: another file, a pack that is too large or one for which the
     * disk has no room is refused before it is copied. Progress counts bytes copied; the last value holds what the pack
     * says of itself.
     *
     * Cancelled, it ends at once, even while [source] blocks: the thread that reads is interrupted, and the stream closed;
     * one that heeds neither is left alone with its stream. Cancelled or failed, it leaves nothing behind and [target] as
     * it was.
     *
     * The flow throws a [ShelfSightException]: [PackSourceException] if [source] cannot be read, [StorageException] if
     * [target] cannot be written, and what [Engine.open] throws of packs.
     *
     * @param maxBytes largest pack accepted; null for the library's limit of 4 GiB.
     */
    public fun import(
        target: File,
        maxBytes: Long? = null,
        dispatcher: CoroutineDispatcher = Dispatchers.IO,
        source: () -> InputStream,
    ): Flow<Progress<PackInfo>> = channelFlow {
        Library.load()
        val limit = maxBytes?.let { Bridge.notNegative("maxBytes", it) }
        val part = stored(target) { partOf(target) }
        try {
            val output = stored(target) { part.outputStream() }
            val transfer = Transfer(source, HEAD) { head ->
                val length = Bridge.translated { packLength(head, limit).toLong() }
                val folder = part.absoluteFile.parentFile ?: part
                // An import that was killed and is tried again has the room that its first try took.
                if (folder.usableSpace < length) sweep(target, olderMs = 0)
                val room = folder.usableSpace
                // Where the system does not tell, it says 0.
                if (room in 1..<length) {
                    throw StorageException("the pack has $length bytes, and $room are free where it would be put; make room")
                }
                length
            }
            val copied = transfer.run(dispatcher, output, stored = { stored(target, it) }) { done, total ->
                trySend(Progress(done, total))
            }
            val info = Engine.open(part, EngineOptions(maxPackBytes = maxBytes, dispatcher = dispatcher)).use {
                it.verify().collect()
                it.info
            }
            ensureActive()
            // One step, and replaces, on Android as on Linux; java.nio.file came with Android 8.
            if (!part.renameTo(target)) {
                throw StorageException("$target: the pack cannot be put here; is there a folder of this name?")
            }
            // After the pack: a crash in between leaves one that is refused until it is imported again, and loses nothing.
            File("$target.journal").delete()
            send(Progress(copied, copied, info))
        } finally {
            part.delete()
            written -= part.name
        }
    }.buffer(Channel.CONFLATED).flowOn(dispatcher)

    /** A file beside [target] to copy into. */
    private fun partOf(target: File): File {
        val folder = target.absoluteFile.parentFile
        if (target.name.isEmpty() || folder == null) throw IOException("the target names no file")
        sweep(target, STALE_MS)
        // Entered before it can be swept.
        return synchronized(written) { File.createTempFile(prefixOf(target), ".part", folder).also { written += it.name } }
    }

    /** Deletes what was left by processes that were ended; what another one of the app writes is younger than [olderMs]. */
    private fun sweep(target: File, olderMs: Long) {
        val prefix = prefixOf(target)
        val parts = target.absoluteFile.parentFile?.listFiles { file -> file.name.startsWith(prefix) && file.name.endsWith(".part") }
        val now = System.currentTimeMillis()
        synchronized(written) {
            parts.orEmpty().filter { it.name !in written && now - it.lastModified() >= olderMs }.forEach { it.delete() }
        }
    }

    /** At least three letters, as `createTempFile` wants them. */
    private fun prefixOf(target: File) = "${target.name}---"

    private inline fun <T> stored(target: File, write: () -> T): T = try {
        write()
    } catch (refused: IOException) {
        if (refused is ShelfSightException) throw refused
        throw StorageException("$target cannot be written: ${Bridge.oneLine(refused)}", refused)
    } catch (forbidden: SecurityException) {
        throw StorageException("$target cannot be written: ${Bridge.oneLine(forbidden)}", forbidden)
    }
}
