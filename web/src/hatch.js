// Diagonal stripes, the sign of an estimate in every chart; a canvas that repeats without a seam.
export function hatch(stroke, ground, opacity = 1) {
  const side = 6
  const tile = document.createElement('canvas')
  tile.width = tile.height = side
  const pen = tile.getContext('2d')
  pen.fillStyle = ground
  pen.fillRect(0, 0, side, side)
  pen.globalAlpha = opacity
  pen.strokeStyle = stroke
  pen.lineWidth = 1.2
  pen.beginPath()
  for (const shift of [-side, 0, side]) { pen.moveTo(shift, side); pen.lineTo(shift + side, 0) }
  pen.stroke()
  return tile
}
