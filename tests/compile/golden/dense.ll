define internal float @cr.exp.f32(float %x) alwaysinline nounwind willreturn memory(none) {
  %v1 = call float @llvm.fma.f32(float %x, float 0x3FF7154760000000, float 0x4168000000000000)
  %v2 = fsub float %v1, 0x4168000000000000
  %v3 = bitcast float %v1 to i32
  %v4 = call float @llvm.fma.f32(float %v2, float 0xBFE62E8000000000, float %x)
  %v5 = call float @llvm.fma.f32(float %v2, float 0x3EFE8082E0000000, float %v4)
  %v6 = fmul float %v5, %v5
  %v7 = call float @llvm.fma.f32(float %v5, float 0x3F2A1A2D80000000, float 0x3F56D76500000000)
  %v8 = call float @llvm.fma.f32(float %v5, float %v7, float 0x3F811108E0000000)
  %v9 = call float @llvm.fma.f32(float %v5, float %v8, float 0x3FA5554AC0000000)
  %v10 = call float @llvm.fma.f32(float %v5, float %v9, float 0x3FC5555560000000)
  %v11 = call float @llvm.fma.f32(float %v5, float %v10, float 0x3FE0000000000000)
  %v12 = call float @llvm.fma.f32(float %v6, float %v11, float %v5)
  %v13 = fadd float %v12, 0x3FF0000000000000
  %v14 = bitcast float %v13 to i32
  %v15 = shl i32 %v3, 23
  %v16 = add i32 %v14, %v15
  %v17 = bitcast i32 %v16 to float
  %v18 = fcmp olt float %x, 0xC055D589E0000000
  %v19 = select i1 %v18, float 0x0000000000000000, float %v17
  %v20 = fcmp ole float %x, 0x40562E42E0000000
  %v21 = fadd float %x, 0x7FF0000000000000
  %v22 = select i1 %v20, float %v19, float %v21
  ret float %v22
}

define internal float @cr.tanh.f32(float %x) alwaysinline nounwind willreturn memory(none) {
  %v1 = call float @llvm.fabs.f32(float %x)
  %v2 = fmul float %v1, %v1
  %v3 = fmul float %v1, %v2
  %v4 = call float @llvm.fma.f32(float %v2, float 0xBF7830D3A0000000, float 0x3F954E0600000000)
  %v5 = call float @llvm.fma.f32(float %v2, float %v4, float 0xBFAB89EE40000000)
  %v6 = call float @llvm.fma.f32(float %v2, float %v5, float 0x3FC1109DC0000000)
  %v7 = call float @llvm.fma.f32(float %v2, float %v6, float 0xBFD55553E0000000)
  %v8 = call float @llvm.fma.f32(float %v3, float %v7, float %v1)
  %v9 = fmul float %v1, 0xC000000000000000
  %v10 = call float @cr.exp.f32(float %v9)
  %v11 = fcmp olt float %v1, 0x3FE3333340000000
  %v12 = fsub float 0x3FF0000000000000, %v10
  %v13 = fadd float %v10, 0x3FF0000000000000
  %v14 = fdiv float 0x3FF0000000000000, %v13
  %v15 = fmul float %v12, %v14
  %v16 = select i1 %v11, float %v8, float %v15
  %v17 = call float @llvm.copysign.f32(float %v16, float %x)
  ret float %v17
}


define internal void @kernel0.finish9.3(ptr noalias %buffers, i64 %begin, i64 %end, ptr noalias %tile, i64 %row, i64 %column) noinline #0 {
entry:
  %a2 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %b2 = load ptr, ptr %a2, !invariant.load !11
  %a3 = getelementptr inbounds ptr, ptr %buffers, i64 3
  %b3 = load ptr, ptr %a3, !invariant.load !12
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 0, 3
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ 0, %before1 ], [ %body2.next, %latch3 ]
  br label %before6
before6:
  %v10 = icmp slt i64 0, 9
  br i1 %v10, label %body7, label %leave9
body7:
  %body7.i = phi i64 [ 0, %before6 ], [ %body7.next, %latch8 ]
  %v11 = mul nsw i64 %body2.i, 9
  %v12 = add nsw i64 %v11, %body7.i
  %v13 = getelementptr inbounds float, ptr %tile, i64 %v12
  %v14 = load float, ptr %v13, !llvm.access.group !7
  %v15 = add nsw i64 %column, %body7.i
  %v16 = getelementptr inbounds float, ptr %b2, i64 %v15
  %v17 = load float, ptr %v16, !llvm.access.group !7
  %v18 = fadd contract  float %v14, %v17
  %v19 = call float @cr.tanh.f32(float %v18)
  %v20 = mul nsw i64 %row, 9
  %v21 = add nsw i64 %v20, %column
  %v22 = mul nsw i64 %body2.i, 9
  %v23 = add nsw i64 %v21, %v22
  %v24 = add nsw i64 %v23, %body7.i
  %v25 = getelementptr inbounds float, ptr %b3, i64 %v24
  store float %v19, ptr %v25, !llvm.access.group !7
  br label %latch8
latch8:
  %body7.next = add nsw i64 %body7.i, 1
  %v26 = icmp slt i64 %body7.next, 9
  br i1 %v26, label %body7, label %leave9, !llvm.loop !10
leave9:
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v27 = icmp slt i64 %body2.next, 3
  br i1 %v27, label %body2, label %leave4, !llvm.loop !6
leave4:
  ret void
}

define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
  ; broadcast: rows 1×3; columns 1×9 by 8; k by 5; 1×1×1 chunks
entry:
  %product.buffer0.at = getelementptr inbounds ptr, ptr %buffers, i64 0
  %product.buffer0 = load ptr, ptr %product.buffer0.at
  %product.buffer1.at = getelementptr inbounds ptr, ptr %buffers, i64 1
  %product.buffer1 = load ptr, ptr %product.buffer1.at
  %product.strip = alloca [27 x float], align 64
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  %v6 = load <8 x float>, ptr %product.buffer1, align 4
  %v7 = getelementptr inbounds float, ptr %product.buffer1, i64 8
  %v8 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %v7, <8 x i1> <i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  %v9 = load float, ptr %product.buffer0, align 4
  %v10 = insertelement <8 x float> poison, float %v9, i64 0
  %v11 = shufflevector <8 x float> %v10, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v12 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v11, <8 x float> %v6, <8 x float> zeroinitializer)
  %v13 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v11, <8 x float> %v8, <8 x float> zeroinitializer)
  %v14 = getelementptr inbounds float, ptr %product.buffer0, i64 5
  %v15 = load float, ptr %v14, align 4
  %v16 = insertelement <8 x float> poison, float %v15, i64 0
  %v17 = shufflevector <8 x float> %v16, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v18 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v17, <8 x float> %v6, <8 x float> zeroinitializer)
  %v19 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v17, <8 x float> %v8, <8 x float> zeroinitializer)
  %v20 = getelementptr inbounds float, ptr %product.buffer0, i64 10
  %v21 = load float, ptr %v20, align 4
  %v22 = insertelement <8 x float> poison, float %v21, i64 0
  %v23 = shufflevector <8 x float> %v22, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v24 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v23, <8 x float> %v6, <8 x float> zeroinitializer)
  %v25 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v23, <8 x float> %v8, <8 x float> zeroinitializer)
  %v26 = getelementptr inbounds float, ptr %product.buffer1, i64 9
  %v27 = load <8 x float>, ptr %v26, align 4
  %v28 = getelementptr inbounds float, ptr %v26, i64 8
  %v29 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %v28, <8 x i1> <i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  %v30 = getelementptr inbounds float, ptr %product.buffer0, i64 1
  %v31 = load float, ptr %v30, align 4
  %v32 = insertelement <8 x float> poison, float %v31, i64 0
  %v33 = shufflevector <8 x float> %v32, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v34 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v33, <8 x float> %v27, <8 x float> %v12)
  %v35 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v33, <8 x float> %v29, <8 x float> %v13)
  %v36 = getelementptr inbounds float, ptr %product.buffer0, i64 6
  %v37 = load float, ptr %v36, align 4
  %v38 = insertelement <8 x float> poison, float %v37, i64 0
  %v39 = shufflevector <8 x float> %v38, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v40 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v39, <8 x float> %v27, <8 x float> %v18)
  %v41 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v39, <8 x float> %v29, <8 x float> %v19)
  %v42 = getelementptr inbounds float, ptr %product.buffer0, i64 11
  %v43 = load float, ptr %v42, align 4
  %v44 = insertelement <8 x float> poison, float %v43, i64 0
  %v45 = shufflevector <8 x float> %v44, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v46 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v45, <8 x float> %v27, <8 x float> %v24)
  %v47 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v45, <8 x float> %v29, <8 x float> %v25)
  %v48 = getelementptr inbounds float, ptr %product.buffer1, i64 18
  %v49 = load <8 x float>, ptr %v48, align 4
  %v50 = getelementptr inbounds float, ptr %v48, i64 8
  %v51 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %v50, <8 x i1> <i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  %v52 = getelementptr inbounds float, ptr %product.buffer0, i64 2
  %v53 = load float, ptr %v52, align 4
  %v54 = insertelement <8 x float> poison, float %v53, i64 0
  %v55 = shufflevector <8 x float> %v54, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v56 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v55, <8 x float> %v49, <8 x float> %v34)
  %v57 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v55, <8 x float> %v51, <8 x float> %v35)
  %v58 = getelementptr inbounds float, ptr %product.buffer0, i64 7
  %v59 = load float, ptr %v58, align 4
  %v60 = insertelement <8 x float> poison, float %v59, i64 0
  %v61 = shufflevector <8 x float> %v60, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v62 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v61, <8 x float> %v49, <8 x float> %v40)
  %v63 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v61, <8 x float> %v51, <8 x float> %v41)
  %v64 = getelementptr inbounds float, ptr %product.buffer0, i64 12
  %v65 = load float, ptr %v64, align 4
  %v66 = insertelement <8 x float> poison, float %v65, i64 0
  %v67 = shufflevector <8 x float> %v66, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v68 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v67, <8 x float> %v49, <8 x float> %v46)
  %v69 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v67, <8 x float> %v51, <8 x float> %v47)
  %v70 = getelementptr inbounds float, ptr %product.buffer1, i64 27
  %v71 = load <8 x float>, ptr %v70, align 4
  %v72 = getelementptr inbounds float, ptr %v70, i64 8
  %v73 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %v72, <8 x i1> <i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  %v74 = getelementptr inbounds float, ptr %product.buffer0, i64 3
  %v75 = load float, ptr %v74, align 4
  %v76 = insertelement <8 x float> poison, float %v75, i64 0
  %v77 = shufflevector <8 x float> %v76, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v78 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v77, <8 x float> %v71, <8 x float> %v56)
  %v79 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v77, <8 x float> %v73, <8 x float> %v57)
  %v80 = getelementptr inbounds float, ptr %product.buffer0, i64 8
  %v81 = load float, ptr %v80, align 4
  %v82 = insertelement <8 x float> poison, float %v81, i64 0
  %v83 = shufflevector <8 x float> %v82, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v84 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v83, <8 x float> %v71, <8 x float> %v62)
  %v85 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v83, <8 x float> %v73, <8 x float> %v63)
  %v86 = getelementptr inbounds float, ptr %product.buffer0, i64 13
  %v87 = load float, ptr %v86, align 4
  %v88 = insertelement <8 x float> poison, float %v87, i64 0
  %v89 = shufflevector <8 x float> %v88, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v90 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v89, <8 x float> %v71, <8 x float> %v68)
  %v91 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v89, <8 x float> %v73, <8 x float> %v69)
  %v92 = getelementptr inbounds float, ptr %product.buffer1, i64 36
  %v93 = load <8 x float>, ptr %v92, align 4
  %v94 = getelementptr inbounds float, ptr %v92, i64 8
  %v95 = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %v94, <8 x i1> <i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>, <8 x float> zeroinitializer)
  %v96 = getelementptr inbounds float, ptr %product.buffer0, i64 4
  %v97 = load float, ptr %v96, align 4
  %v98 = insertelement <8 x float> poison, float %v97, i64 0
  %v99 = shufflevector <8 x float> %v98, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v100 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v99, <8 x float> %v93, <8 x float> %v78)
  %v101 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v99, <8 x float> %v95, <8 x float> %v79)
  %v102 = getelementptr inbounds float, ptr %v96, i64 5
  %v103 = load float, ptr %v102, align 4
  %v104 = insertelement <8 x float> poison, float %v103, i64 0
  %v105 = shufflevector <8 x float> %v104, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v106 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v105, <8 x float> %v93, <8 x float> %v84)
  %v107 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v105, <8 x float> %v95, <8 x float> %v85)
  %v108 = getelementptr inbounds float, ptr %v96, i64 10
  %v109 = load float, ptr %v108, align 4
  %v110 = insertelement <8 x float> poison, float %v109, i64 0
  %v111 = shufflevector <8 x float> %v110, <8 x float> poison, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %v112 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v111, <8 x float> %v93, <8 x float> %v90)
  %v113 = call <8 x float> @llvm.fma.v8f32(<8 x float> %v111, <8 x float> %v95, <8 x float> %v91)
  store <8 x float> %v100, ptr %product.strip, align 4
  %v114 = getelementptr inbounds float, ptr %product.strip, i64 8
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v101, ptr align 4 %v114, <8 x i1> <i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %v115 = getelementptr inbounds float, ptr %product.strip, i64 9
  store <8 x float> %v106, ptr %v115, align 4
  %v116 = getelementptr inbounds float, ptr %product.strip, i64 17
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v107, ptr align 4 %v116, <8 x i1> <i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>)
  %v117 = getelementptr inbounds float, ptr %product.strip, i64 18
  store <8 x float> %v112, ptr %v117, align 4
  %v118 = getelementptr inbounds float, ptr %product.strip, i64 26
  call void @llvm.masked.store.v8f32.p0(<8 x float> %v113, ptr align 4 %v118, <8 x i1> <i1 true, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false, i1 false>)
  call void @kernel0.finish9.3(ptr %buffers, i64 0, i64 9, ptr %product.strip, i64 0, i64 0)
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v119 = icmp slt i64 %body2.next, %end
  br i1 %v119, label %body2, label %leave4, !llvm.loop !1
leave4:
  ret void
}

define internal i32 @part0.6(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [4 x ptr]
  ; cluster 0
  %v1 = load ptr, ptr %buffers
  store ptr %v1, ptr %t0
  %v2 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v3, ptr %v4
  %v5 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %v6 = load ptr, ptr %v5
  %v7 = getelementptr inbounds ptr, ptr %t0, i64 2
  store ptr %v6, ptr %v7
  %v8 = getelementptr inbounds ptr, ptr %buffers, i64 3
  %v9 = load ptr, ptr %v8
  %v10 = getelementptr inbounds ptr, ptr %t0, i64 3
  store ptr %v9, ptr %v10
  call void @kernel0(ptr %t0, i64 0, i64 1)
  ret i32 0
}

define i32 @program(ptr %buffers, ptr %context) #0 {
  call void @cr.enter(ptr %context)
  %cr.mode.slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %cr.mode.slot)
  %cr.mode.saved = load i32, ptr %cr.mode.slot
  %cr.mode.flush = or i32 %cr.mode.saved, 32832
  store i32 %cr.mode.flush, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  %status = call i32 @part0.6(ptr %buffers, ptr %context)
  store i32 %cr.mode.saved, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  call void @cr.leave(ptr %context)
  ret i32 %status
}

attributes #0 = { nounwind "prefer-vector-width"="256" "no-trapping-math"="true" }

!0 = !{!"llvm.loop.unroll.disable"}
!1 = distinct !{!1, !0}
!2 = distinct !{!2, !0}
!3 = distinct !{!3, !0}
!4 = distinct !{!4, !0}
!5 = !{!"llvm.loop.unroll.disable"}
!6 = distinct !{!6, !5}
!7 = distinct !{}
!8 = !{!"llvm.loop.parallel_accesses", !7}
!9 = !{!"llvm.loop.unroll.disable"}
!10 = distinct !{!10, !8, !9}
!11 = !{}
!12 = !{}

